import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

describe("always allowing a call", () => {
  it("allows it and gives the agent a rule, begun with those of its post", async () => {
    const { house, engineer } = smallHouse();
    const asks = { verdict: "ask" as const, pattern: "bash_run(git push*)" };
    engineer.permissions = { mode: "ask", rules: [asks] };
    const ada = house.addAgent("Ada", engineer);
    const session = house.addSession(ada);
    void session.play("m1");
    const { user, sent } = await visit(house, "/inbox");
    await screen.findByTestId("approval");

    await user.keyboard("a");
    const field = await screen.findByLabelText(/^Pattern/);
    expect(field).toHaveProperty("value", "fs_edit(calculator.py)");
    await user.clear(field);
    await user.type(field, "fs_edit(*.py)");
    await user.click(screen.getByRole("button", { name: "Allow and remember" }));

    await waitFor(() => expect(session.state).toBe("ready"));
    expect(house.changed.has(ada.id)).toBe(true);
    expect(sent.find(({ address }) => address === `PATCH /agents/${ada.id}`)?.body).toEqual({
      overrides: {
        permissions: { mode: "ask", rules: [asks, { verdict: "allow", pattern: "fs_edit(*.py)" }] },
      },
    });
  });
});
