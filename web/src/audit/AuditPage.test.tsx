import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

async function openAudit(address = "/settings/audit") {
  const { house } = smallHouse();
  house.addAuditEntry("login.created", "login_1");
  house.addAuditEntry("agent.created", "agent_1");
  house.addAuditEntry("agent.deleted", "agent_2", { outcome: "refused", reason: "agent-busy" });
  house.addAuditEntry("tenant.created", "tenant_2", { tenant_id: null });
  return visit(house, address);
}

const actions = () =>
  screen.getAllByTestId("audit-entry").map((entry) => entry.querySelector("span")?.textContent);

describe("the audit log", () => {
  it("is searched by action and outcome, and the address keeps the search", async () => {
    const { user } = await openAudit();
    await screen.findByText("login.created");
    expect(actions()).toEqual(["agent.deleted", "agent.created", "login.created"]);

    await user.type(screen.getByRole("searchbox"), "agent.");
    await waitFor(() => expect(actions()).toEqual(["agent.deleted", "agent.created"]));
    await user.click(screen.getByRole("combobox", { name: "Outcome" }));
    await user.click(await screen.findByRole("option", { name: "Refused" }));

    await waitFor(() => expect(actions()).toEqual(["agent.deleted"]));
    expect(location.search).toBe("?action=agent.&outcome=refused");
  });

  it("tells the whole entry on demand, and narrows to what it names", async () => {
    const { user } = await openAudit();

    await user.click(await screen.findByRole("button", { name: /agent.deleted/ }));
    expect(screen.getByText("agent-busy")).toBeTruthy();
    expect(screen.getByText("127.0.0.1")).toBeTruthy();
    const [, target] = screen.getAllByRole("button", { name: "only this" });
    if (target) await user.click(target);

    await waitFor(() => expect(actions()).toEqual(["agent.deleted"]));
    await user.click(screen.getByRole("button", { name: "Remove the filter agent_2" }));
    await waitFor(() => expect(actions()).toHaveLength(3));
  });

  it("has what belongs to no tenant, for an admin of the server", async () => {
    const { user } = await openAudit();

    await user.click(await screen.findByRole("switch", { name: "Of the server" }));

    await waitFor(() => expect(actions()).toEqual(["tenant.created"]));
  });

  it("is exported as it is filtered", async () => {
    const saved: Blob[] = [];
    vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      if (blob instanceof Blob) saved.push(blob);
      return "blob:audit";
    });
    const { user } = await openAudit("/settings/audit?action=login.");
    await screen.findByText("login.created");

    await user.click(screen.getByRole("button", { name: "Export" }));
    const menu = within(await screen.findByRole("menu"));
    await user.click(menu.getByRole("menuitem", { name: "JSON lines" }));

    await waitFor(() => expect(saved).toHaveLength(1));
    const text = await saved[0]?.text();
    expect(text?.split("\n")).toHaveLength(1);
    expect(text).toContain("login_1");
  });

  it("says what to do when nothing matches", async () => {
    await openAudit("/settings/audit?actor=user_9");

    expect(await screen.findByText("No entry matches")).toBeTruthy();
  });
});
