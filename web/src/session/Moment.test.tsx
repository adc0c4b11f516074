import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addGallery } from "../../dev/mock/seed";
import { smallHouse, visit } from "../../dev/testing/page";

async function openGallery() {
  const { house } = smallHouse();
  const session = addGallery(house);
  const visited = await visit(house, `/agents/${session.agent.id}/sessions/${session.id}`);
  await screen.findByTestId("transcript");
  const end = session.events.find((event) => event.type === "done")?.seq ?? 0;
  return { ...visited, house, session, end };
}

/** The menu of the moment at the end of the first turn. */
async function openMenuOfTurn(user: Awaited<ReturnType<typeof openGallery>>["user"]) {
  const answer = await screen.findByTestId("structured-answer");
  const row = within(answer.parentElement ?? answer);
  await user.click(row.getByRole("button", { name: "This moment" }));
}

describe("a moment of the conversation", () => {
  it("is forked from, and the fork says where it comes from", async () => {
    const { user, house, session, end } = await openGallery();

    await openMenuOfTurn(user);
    await user.click(await screen.findByRole("menuitem", { name: "Fork from here" }));

    expect(await screen.findByText("Fork: Everything there is")).toBeTruthy();
    const fork = house.sessions.find((one) => one.forked_from);
    expect(fork?.forked_from).toEqual({ session_id: session.id, after: end });
    expect(location.pathname).toContain(fork?.id);
    expect(await screen.findByLabelText("Message")).toBeTruthy();
  });

  it("is looked at as it was, without a way to change anything", async () => {
    const { user, end } = await openGallery();
    const before = (await screen.findAllByTestId("note")).length;

    await openMenuOfTurn(user);
    await user.click(await screen.findByRole("menuitem", { name: "Look at this moment" }));

    const bar = within(await screen.findByTestId("moment"));
    expect(location.search).toBe(`?at=${end}`);
    await waitFor(() => expect(screen.getAllByTestId("note").length).toBeLessThan(before));
    expect(screen.queryByLabelText("Message")).toBeNull();
    expect(screen.queryByRole("radio", { name: "Changes" })).toBeNull();
    await user.click(bar.getByRole("link", { name: "Back to now" }));
    expect(await screen.findByLabelText("Message")).toBeTruthy();
    await waitFor(() => expect(screen.getAllByTestId("note")).toHaveLength(before));
  });

  it("gets a name, to look at later", async () => {
    const { user, session } = await openGallery();
    const now = session.events.length;

    await user.click(await screen.findByRole("button", { name: "Snapshots and forks" }));
    expect(await screen.findByRole("menuitem", { name: /before-refactor/ })).toBeTruthy();
    await user.click(screen.getByRole("menuitem", { name: "Take a snapshot" }));
    await user.type(await screen.findByLabelText(/^Name/), "as it is{Enter}");
    expect(await screen.findByText("Snapshot as it is")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Snapshots and forks" }));
    await user.click(await screen.findByRole("menuitem", { name: /as it is/ }));

    await waitFor(() => expect(location.search).toBe(`?at=${now}`));
  });
});
