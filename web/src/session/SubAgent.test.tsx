import { screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addGallery } from "../../dev/mock/seed";
import { smallHouse, visit } from "../../dev/testing/page";

async function openGallery() {
  const { house } = smallHouse();
  const session = addGallery(house);
  const visited = await visit(house, `/agents/${session.agent.id}/sessions/${session.id}`);
  const call = (await screen.findAllByTestId("tool-card")).find(
    (card) => card.dataset.tool === "task_run",
  );
  if (!call) throw new Error("no call sends out a sub-agent");
  return { ...visited, call: within(call) };
}

describe("a sub-agent", () => {
  it("is seen under the call that sent it out, with what it says and does", async () => {
    const { user, call } = await openGallery();
    expect(call.getByText("waits for you")).toBeTruthy();

    await user.click(call.getByRole("button", { name: /task_run/ }));

    const sub = within(await call.findByTestId("sub-agent"));
    expect(sub.getByText("Sub-agent: Reader")).toBeTruthy();
    expect(await sub.findByText(/I will/)).toBeTruthy();
    expect(sub.getByTestId("tool-card").dataset.tool).toBe("bash_run");
  });

  it("asks once, where it was sent from", async () => {
    const { call } = await openGallery();

    const calls = screen.getAllByTestId("tool-card").map((card) => card.dataset.tool);
    expect(calls.filter((name) => name === "bash_run")).toEqual([]);
    expect(call.queryByTestId("sub-agent")).toBeNull();
  });

  it("has a session that is read only, with the way back", async () => {
    const { user, call } = await openGallery();
    await user.click(call.getByRole("button", { name: /task_run/ }));
    await user.click(await call.findByRole("link", { name: "Open its session" }));

    const lineage = await screen.findByRole("navigation", {
      name: "Where this session comes from",
    });
    expect(within(lineage).getByText("Sub-agent: Reader")).toBeTruthy();
    expect(await screen.findByText(/can be read only/)).toBeTruthy();
    expect(screen.queryByLabelText("Message")).toBeNull();
    await user.click(await within(lineage).findByRole("link", { name: "Everything there is" }));
    expect(await screen.findByLabelText("Message")).toBeTruthy();
  });
});
