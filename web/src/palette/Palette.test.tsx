import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

const field = () => screen.findByRole("textbox", { name: "Search" });

describe("the palette", () => {
  it("goes to an agent by its name", async () => {
    const { house, engineer } = smallHouse();
    const ada = house.addAgent("Ada", engineer);
    house.addAgent("Grace", engineer);
    const { user } = await visit(house, "/posts");
    await screen.findByRole("heading", { name: "Posts" });

    await user.keyboard("{Control>}k{/Control}");
    await user.type(await field(), "ada");
    await screen.findByText("Ada");
    await user.keyboard("{Enter}");

    await waitFor(() => expect(location.pathname).toBe(`/agents/${ada.id}`));
  });

  it("changes the language", async () => {
    const { user } = await visit(smallHouse().house, "/agents");

    await user.click(await screen.findByTitle("Search"));
    await user.type(await field(), "简体");
    await user.keyboard("{Enter}");

    expect(await screen.findByRole("heading", { name: "AI 员工" })).toBeTruthy();
  });

  it("says that nothing has the name", async () => {
    const { user } = await visit(smallHouse().house, "/agents");

    await user.click(await screen.findByTitle("Search"));
    await user.type(await field(), "no such thing");

    expect(await screen.findByText("Nothing has this name.")).toBeTruthy();
  });
});

describe("G and a letter", () => {
  it("go to a place, but not while somebody writes", async () => {
    const { house, engineer } = smallHouse();
    house.addAgent("Ada", engineer);
    const { user } = await visit(house, "/agents");
    const search = await screen.findByRole("searchbox");

    await user.type(search, "gp");
    expect(location.pathname).toBe("/agents");
    await user.keyboard("{Escape}");
    await user.keyboard("gp");

    expect(await screen.findByRole("heading", { name: "Posts" })).toBeTruthy();
  });
});
