import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addMember } from "../../dev/mock/members";
import { smallHouse, visit } from "../../dev/testing/page";

async function openPeople() {
  const { house } = smallHouse();
  addMember(house, "admin", "owner");
  addMember(house, "grace", "member");
  const visited = await visit(house, "/settings/people");
  await screen.findAllByTestId("member");
  return { ...visited, house };
}

const roleOf = (name: string) => screen.getByRole("combobox", { name: `Role of ${name}` });

describe("the people of a tenant", () => {
  it("get another role", async () => {
    const { user, house } = await openPeople();

    await user.click(roleOf("grace"));
    await user.click(await screen.findByRole("option", { name: "Admin" }));

    expect(await screen.findByText("grace is Admin now.")).toBeTruthy();
    expect(house.members[1]?.role).toBe("admin");
  });

  it("keep an owner: the refusal is told, and the old role is shown again", async () => {
    const { user } = await openPeople();

    await user.click(roleOf("Ada Lovelace"));
    await user.click(await screen.findByRole("option", { name: "Viewer" }));

    expect(await screen.findByText("A tenant has at least one owner.")).toBeTruthy();
    await waitFor(() => expect(roleOf("Ada Lovelace")).toHaveProperty("value", "Owner"));
  });

  it("are added by name, and a wrong name is told at the field", async () => {
    const { user } = await openPeople();

    await user.click(screen.getByRole("button", { name: "Add somebody" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByLabelText(/^Who/), "nobody{Enter}");
    await waitFor(() =>
      expect(dialog.getByLabelText(/^Who/).getAttribute("aria-invalid")).toBe("true"),
    );
    await user.clear(dialog.getByLabelText(/^Who/));
    await user.type(dialog.getByLabelText(/^Who/), "linus{Enter}");

    await waitFor(() => expect(screen.getAllByTestId("member")).toHaveLength(3));
  });

  it("are removed only after typing the name", async () => {
    const { user } = await openPeople();

    await user.click(screen.getByRole("button", { name: "Remove grace" }));
    const dialog = within(await screen.findByRole("dialog"));
    expect(dialog.getByRole("button", { name: "Remove" })).toHaveProperty("disabled", true);
    await user.type(dialog.getByRole("textbox"), "grace{Enter}");

    await waitFor(() => expect(screen.getAllByTestId("member")).toHaveLength(1));
  });

  it("and the audit are not offered to somebody who does not manage the tenant", async () => {
    const { house } = smallHouse();
    house.user.role = "user";
    house.tenants = [{ id: "tenant_1", name: "Acme", role: "member" }];
    await visit(house, "/settings/account");

    const nav = within(await screen.findByRole("navigation", { name: "Settings" }));
    expect(nav.getAllByRole("link").map((link) => link.textContent)).toEqual([
      "My account",
      "Health",
    ]);
  });
});
