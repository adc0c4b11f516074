import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

describe("the health page", () => {
  it("names every part and what runs here", async () => {
    await visit(smallHouse().house, "/settings/health");

    expect(await screen.findByText("Everything works.")).toBeTruthy();
    expect(screen.getAllByTestId("part")).toHaveLength(5);
    expect(screen.getByText(/Up for 26 hr/)).toBeTruthy();
    expect(await screen.findByText("Longhouse 1.0.0, mock")).toBeTruthy();
  });

  it("says which part fails, although the server answers with an error", async () => {
    const { house } = smallHouse();
    const database = { status: "degraded" as const, detail: "No answer within 2 s." };
    house.health = { status: "degraded", checks: { ...house.health.checks, database } };

    await visit(house, "/settings/health");

    expect(await screen.findByText("A part of the house does not work.")).toBeTruthy();
    expect(screen.getByText("No answer within 2 s.")).toBeTruthy();
  });
});
