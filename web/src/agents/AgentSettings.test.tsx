import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { smallHouse, visit } from "../../dev/testing/page";

async function openSettings() {
  const { house, engineer } = smallHouse();
  const reader = house.addPost("Reader", "Answers.", "read_only");
  const ada = house.addAgent("Ada", engineer);
  const visited = await visit(house, `/agents/${ada.id}/settings`);
  await screen.findByLabelText(/^Name/);
  return { ...visited, house, ada, reader, save: screen.getByRole("button", { name: "Save" }) };
}

const group = (name: string) => within(screen.getByRole("group", { name }));

describe("the settings of an agent", () => {
  it("rename it", async () => {
    const { user, ada, save, sent } = await openSettings();
    expect(save).toHaveProperty("disabled", true);

    await user.clear(screen.getByLabelText(/^Name/));
    await user.type(screen.getByLabelText(/^Name/), "Ada Lovelace");
    await user.click(save);

    expect(await screen.findByRole("heading", { level: 1, name: "Ada Lovelace" })).toBeTruthy();
    expect(sent.at(-1)).toEqual({
      address: `PATCH /agents/${ada.id}`,
      body: { name: "Ada Lovelace" },
    });
    expect(save).toHaveProperty("disabled", true);
  });

  it("say at the field that another agent has the name", async () => {
    const { user, house, save } = await openSettings();
    const [post] = house.posts;
    if (post) house.addAgent("Grace", post);

    await user.clear(screen.getByLabelText(/^Name/));
    await user.type(screen.getByLabelText(/^Name/), "Grace");
    await user.click(save);

    await waitFor(() =>
      expect(screen.getByLabelText(/^Name/).getAttribute("aria-invalid")).toBe("true"),
    );
  });

  it("give it another post", async () => {
    const { user, reader, save, sent } = await openSettings();

    await user.click(screen.getByRole("combobox", { name: "Post" }));
    await user.click(await screen.findByRole("option", { name: "Reader" }));
    expect(group("Permissions").getByText("Read only")).toBeTruthy();
    await user.click(save);

    expect(await screen.findByRole("link", { name: "Reader" })).toBeTruthy();
    expect(sent.at(-1)?.body).toEqual({ post_id: reader.id });
  });

  it("explain which model its turns use, and give it one of its own", async () => {
    const { user, ada, save, sent } = await openSettings();
    expect(await screen.findByText("demo")).toBeTruthy();

    await user.click(group("Model").getByRole("radio", { name: "Its own choice" }));
    const field = group("Model").getByRole("combobox");
    await user.clear(field);
    await user.type(field, "anthropic:claude-sonnet-4-5");
    expect(screen.getByText("No key is set.")).toBeTruthy();
    await user.click(save);
    await waitFor(() => expect(ada.model).toBe("anthropic:claude-sonnet-4-5"));
    expect(sent.at(-1)?.body).toEqual({ overrides: { model: "anthropic:claude-sonnet-4-5" } });

    await user.click(group("Model").getByRole("radio", { name: /As the post says/ }));
    await user.click(save);
    await waitFor(() => expect(ada.model).toBe("auto"));
    expect(sent.at(-1)?.body).toEqual({ overrides: {} });
  });

  it("begin its own permissions with those of the post", async () => {
    const { user, save, sent } = await openSettings();

    await user.click(group("Permissions").getByRole("radio", { name: "Its own choice" }));
    await user.click(screen.getByRole("radio", { name: "Automatic" }));
    await user.click(screen.getByRole("button", { name: "Add a rule" }));
    await user.type(screen.getByRole("textbox", { name: "Pattern" }), "bash_run(git *)");
    await user.click(save);

    await waitFor(() =>
      expect(sent.at(-1)?.body).toEqual({
        overrides: {
          permissions: { mode: "auto", rules: [{ verdict: "allow", pattern: "bash_run(git *)" }] },
        },
      }),
    );
  });

  it("are not left by accident", async () => {
    const { user } = await openSettings();
    await user.type(screen.getByLabelText(/^Name/), "!");

    await user.click(screen.getByRole("tab", { name: "Sessions" }));
    await user.click(await screen.findByRole("button", { name: "Stay" }));
    expect(screen.getByLabelText(/^Name/)).toHaveProperty("value", "Ada!");
    await user.click(screen.getByRole("tab", { name: "Sessions" }));
    await user.click(await screen.findByRole("button", { name: "Leave" }));

    expect(await screen.findByText("No sessions yet")).toBeTruthy();
  });
});
