import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

async function rows() {
  const list = await screen.findByRole("list", { name: "Agents" });
  return within(list).getAllByRole("link");
}

describe("the list of agents", () => {
  it("reads on page by page until there is no more", async () => {
    const { house, engineer } = smallHouse();
    for (let number = 0; number < 230; number += 1) house.addAgent(`Worker ${number}`, engineer);
    const { user } = await visit(house, "/agents");
    expect(await rows()).toHaveLength(100);

    await user.click(screen.getByRole("button", { name: "Show more" }));
    await waitFor(async () => expect(await rows()).toHaveLength(200));
    await user.click(screen.getByRole("button", { name: "Show more" }));

    await waitFor(async () => expect(await rows()).toHaveLength(230));
    expect(screen.queryByRole("button", { name: "Show more" })).toBeNull();
  });

  it("finds an agent by its name, and keeps the search in the address", async () => {
    const { house, engineer } = smallHouse();
    house.addAgent("Ada", engineer);
    house.addAgent("Grace", engineer);
    const { user } = await visit(house, "/agents");
    expect(await rows()).toHaveLength(2);

    await user.keyboard("/");
    await user.keyboard("grac");

    await waitFor(async () => expect(await rows()).toHaveLength(1));
    expect(location.search).toBe("?search=grac");
    await user.clear(screen.getByRole("searchbox"));
    await waitFor(async () => expect(await rows()).toHaveLength(2));
    await user.type(screen.getByRole("searchbox"), "nobody");
    expect(await screen.findByText("No agent matches")).toBeTruthy();
  });

  it("says in words that no tokens were used", async () => {
    const { house, engineer } = smallHouse();
    house.addAgent("Ada", engineer);
    house.addAgent("Grace", engineer).tokens = { input: 12_000, output: 345 };
    await visit(house, "/agents");

    const [grace, ada] = await rows();

    expect(grace?.textContent).toContain("12.3K tokens");
    expect(ada?.textContent).toContain("No tokens used yet");
  });

  it("offers to make the first one", async () => {
    await visit(smallHouse().house, "/agents");

    expect(await screen.findByText("No agents yet")).toBeTruthy();
    expect(screen.queryByRole("searchbox")).toBeNull();
  });
});
