import { describe, expect, it } from "vitest";
import { ARM_AFTER_MS, approvalKey, type KeyContext } from "./approvalKeys";

const press = (over: Partial<KeyContext>) =>
  approvalKey({
    key: "Enter",
    repeat: false,
    modified: false,
    focus: "page",
    noteOpen: false,
    shownFor: ARM_AFTER_MS,
    ...over,
  });

describe("Enter", () => {
  it("allows", () => expect(press({})).toBe("allow"));

  it("allows from an empty message field", () => {
    expect(press({ focus: "empty-field" })).toBe("allow");
  });

  it("sends the draft when there is one, and decides nothing", () => {
    expect(press({ focus: "field" })).toBeNull();
  });

  it("presses the button that has the focus, and decides nothing else", () => {
    expect(press({ focus: "control" })).toBeNull();
  });

  it("that is held down decides nothing", () => expect(press({ repeat: true })).toBeNull());

  it("that ends a Chinese word decides nothing", () => {
    expect(press({ modified: true })).toBeNull();
  });

  it("that was on its way when the approval appeared decides nothing", () => {
    expect(press({ shownFor: ARM_AFTER_MS - 1 })).toBeNull();
  });

  it("in the note denies", () => {
    expect(press({ focus: "note", noteOpen: true })).toBe("deny");
  });

  it("outside of the open note does not allow by mistake", () => {
    expect(press({ noteOpen: true })).toBeNull();
  });
});

describe("A", () => {
  it("always allows", () => expect(press({ key: "a" })).toBe("always"));

  it("is a letter to somebody who writes", () => {
    for (const focus of ["field", "empty-field", "note"] as const) {
      expect(press({ key: "a", focus })).toBeNull();
    }
  });
});

describe("Escape", () => {
  it("opens the note", () => expect(press({ key: "Escape" })).toBe("open-note"));

  it("closes the note again", () => {
    expect(press({ key: "Escape", focus: "note", noteOpen: true })).toBe("close-note");
  });
});
