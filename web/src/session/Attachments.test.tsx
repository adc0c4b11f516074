import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

const shot = () => new File([new Uint8Array([137, 80, 78, 71])], "shot.png", { type: "image/png" });
const paper = () => new File(["%PDF-1.7"], "paper.pdf", { type: "application/pdf" });

async function openSession() {
  const { house, engineer } = smallHouse();
  const session = house.addSession(house.addAgent("Ada", engineer));
  const address = `/agents/${session.agent.id}/sessions/${session.id}`;
  const visited = await visit(house, address);
  const field = await screen.findByLabelText("Message");
  return { ...visited, session, field };
}

describe("attachments", () => {
  it("go with the message they were chosen for, and are shown with it", async () => {
    const { user, session, field } = await openSession();
    const chooser = document.querySelector<HTMLInputElement>("input[type=file]");
    if (!chooser) throw new Error("there is nothing to choose files with");

    await user.upload(chooser, [shot(), paper()]);
    expect(screen.getAllByTestId("attachment")).toHaveLength(2);
    await user.type(field, "What is on it?{Enter}");

    const message = within(await screen.findByTestId("message"));
    expect(await message.findByRole("img", { name: "shot.png" })).toBeTruthy();
    expect(await message.findByRole("button", { name: "Save paper.pdf" })).toBeTruthy();
    const sent = session.events.find((event) => event.type === "message");
    expect(sent).toMatchObject({ text: "What is on it?", attachments: [{ size: 4 }, { size: 8 }] });
  });

  it("need no words beside them, and can be taken back before", async () => {
    const { user, field, sent } = await openSession();

    fireEvent.paste(field, { clipboardData: { files: [shot()], types: ["Files"] } });
    fireEvent.drop(window, { dataTransfer: { files: [paper()], types: ["Files"] } });
    await user.click(screen.getByRole("button", { name: "Remove paper.pdf" }));
    await user.click(screen.getByRole("button", { name: "Send" }));

    await waitFor(() => expect(sent.at(-1)?.address).toMatch(/messages$/));
    expect(sent.at(-1)?.body).toMatchObject({
      text: "",
      attachments: [{ name: "shot.png", media_type: "image/png", data: "iVBORw==" }],
    });
  });

  it("are pictures and PDFs: anything else is refused with a reason", async () => {
    const { field } = await openSession();
    const text = new File(["words"], "notes.txt", { type: "text/plain" });

    fireEvent.paste(field, { clipboardData: { files: [text], types: ["Files"] } });

    expect(await screen.findByText(/notes.txt cannot be attached/)).toBeTruthy();
    expect(screen.queryByTestId("attachment")).toBeNull();
  });

  it("say where to drop while files are above the page", async () => {
    await openSession();

    fireEvent.dragEnter(window, { dataTransfer: { types: ["Files"] } });
    expect(await screen.findByText("Drop pictures and PDFs here")).toBeTruthy();
    fireEvent.dragLeave(window, { dataTransfer: { types: ["Files"] } });

    await waitFor(() => expect(screen.queryByText("Drop pictures and PDFs here")).toBeNull());
  });
});
