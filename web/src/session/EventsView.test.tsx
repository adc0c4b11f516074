import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addGallery } from "../../dev/mock/seed";
import { smallHouse, visit } from "../../dev/testing/page";

describe("the events of a session", () => {
  it("are all there by their numbers, and one channel's alone on demand", async () => {
    const { house } = smallHouse();
    const session = addGallery(house);
    const address = `/agents/${session.agent.id}/sessions/${session.id}`;
    const { user } = await visit(house, address);

    await user.click(await screen.findByRole("radio", { name: "Events" }));
    await waitFor(() => expect(screen.getAllByTestId("event")).toHaveLength(session.events.length));
    await user.click(screen.getByRole("radio", { name: "Control" }));

    await waitFor(() => expect(screen.getAllByTestId("event")).toHaveLength(2));
    expect(location.search).toBe("?tab=events&channel=control");
    await user.click(screen.getByRole("button", { name: /interrupt_requested/ }));
    expect(screen.getByText(/"channel": "control"/)).toBeTruthy();
  });
});
