import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { addTenant } from "../../dev/mock/tenants";
import { smallHouse, visit } from "../../dev/testing/page";

async function openTenants() {
  const { house } = smallHouse();
  const acme = addTenant(house, "Acme");
  const visited = await visit(house, "/settings/tenants");
  await screen.findAllByTestId("tenant");
  return { ...visited, acme };
}

async function choose(user: Awaited<ReturnType<typeof openTenants>>["user"], action: string) {
  await user.click(screen.getByRole("button", { name: "Actions for Acme" }));
  await user.click(await screen.findByRole("menuitem", { name: action }));
}

describe("the tenants", () => {
  it("are made, and can be switched to at once", async () => {
    const { user } = await openTenants();

    await user.click(screen.getByRole("button", { name: "New tenant" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByLabelText(/^Name/), "Globex{Enter}");

    await waitFor(() => expect(screen.getAllByTestId("tenant")).toHaveLength(2));
    expect(await screen.findByRole("button", { name: /Switch to another/ })).toBeTruthy();
  });

  it("have names of their own: a taken one is told at the field", async () => {
    const { user } = await openTenants();

    await user.click(screen.getByRole("button", { name: "New tenant" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByLabelText(/^Name/), "Acme{Enter}");

    await waitFor(() =>
      expect(dialog.getByLabelText(/^Name/).getAttribute("aria-invalid")).toBe("true"),
    );
  });

  it("are suspended and activated", async () => {
    const { user, acme } = await openTenants();

    await choose(user, "Suspend");
    expect(await screen.findByText("Suspended")).toBeTruthy();
    await choose(user, "Activate");

    await waitFor(() => expect(screen.queryByText("Suspended")).toBeNull());
    expect(acme.status).toBe("active");
  });

  it("are deleted only after typing the name, and restored", async () => {
    const { user, acme } = await openTenants();

    await choose(user, "Delete tenant");
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByRole("textbox"), "Acme{Enter}");
    expect(await screen.findByText("Deleted")).toBeTruthy();
    await choose(user, "Restore");

    await waitFor(() => expect(acme.status).toBe("active"));
  });
});
