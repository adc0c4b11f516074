import { expect, it } from "vitest";
import { composerKey } from "./composer";

const press = (over: Partial<Parameters<typeof composerKey>[0]>) =>
  composerKey({
    key: "Enter",
    shiftKey: false,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    isComposing: false,
    ...over,
  });

it("Enter sends, alone or with Ctrl or Cmd", () => {
  expect([press({}), press({ ctrlKey: true }), press({ metaKey: true })]).toEqual([
    "send",
    "send",
    "send",
  ]);
});

it("Shift-Enter begins a new line", () => expect(press({ shiftKey: true })).toBe("line"));

it("Enter that ends a Chinese word sends nothing", () => {
  expect(press({ isComposing: true })).toBeNull();
});
