import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

const BOTH = [
  { id: "tenant_1", name: "Acme", role: "owner" as const },
  { id: "tenant_2", name: "Globex", role: "member" as const },
];

describe("the tenant switch", () => {
  it("is not there for somebody in one tenant", async () => {
    await visit(smallHouse().house, "/agents");

    await screen.findByText("No agents yet");
    expect(screen.queryByRole("button", { name: /Switch to another/ })).toBeNull();
  });

  it("reads everything anew in the other tenant, and is remembered", async () => {
    const { house } = smallHouse();
    house.tenants = BOTH;
    const { user, asked } = await visit(house, "/posts");
    await screen.findByRole("heading", { name: "Engineer" });
    asked.length = 0;

    await user.click(screen.getByRole("button", { name: /Tenant Acme/ }));
    await user.click(await screen.findByRole("menuitemradio", { name: "Globex" }));

    expect(await screen.findByRole("button", { name: /Tenant Globex/ })).toBeTruthy();
    await waitFor(() =>
      expect(asked).toContainEqual({ address: "GET /agents", tenant: "tenant_2" }),
    );
    expect(localStorage.getItem("longhouse-tenant")).toBe("tenant_2");
  });

  it("falls back to the first tenant when the chosen one is gone", async () => {
    const { house } = smallHouse();
    house.tenants = BOTH;
    localStorage.setItem("longhouse-tenant", "tenant_9");

    await visit(house, "/agents");

    expect(await screen.findByRole("button", { name: /Tenant Acme/ })).toBeTruthy();
  });
});
