import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addGallery } from "../../dev/mock/seed";
import { smallHouse, visit } from "../../dev/testing/page";

async function openGallery() {
  const { house } = smallHouse();
  const session = addGallery(house);
  const visited = await visit(house, `/agents/${session.agent.id}/sessions/${session.id}`);
  await screen.findByTestId("transcript");
  return visited;
}

describe("a transcript", () => {
  it("tells what happened beside the conversation, each in a line", async () => {
    await openGallery();

    const notes = (await screen.findAllByTestId("note")).map((note) => note.textContent);

    expect(notes).toEqual([
      "A skill was found: release",
      "The schedule nightly was set.",
      "calculator.py was changed by something else than the agent's file tools.",
      "notes.md is gone.",
      "The answer did not fit what was asked for; the model was told why.",
      "Snapshot before-refactor",
      "From here on it follows version 2 of Engineer.",
      "The context was too long: a summary stands for the 4 oldest messages.",
      "The schedule nightly was due.",
      "Forked from the snapshot before of another session.",
    ]);
  });

  it("has more to read behind a line, on demand", async () => {
    const { user } = await openGallery();
    expect(screen.queryByText("everything")).toBeNull();

    await user.click(await screen.findByRole("button", { name: /summary stands for/ }));

    expect(await screen.findByText("everything")).toBeTruthy();
  });

  it("shows the object that a message asked for", async () => {
    await openGallery();

    expect((await screen.findByTestId("structured-answer")).textContent).toContain('"total": 3');
  });
});
