import { describe, expect, it } from "vitest";
import { safeNext, tokenOf } from "./link";

describe("the one-time link", () => {
  it("holds its token behind the hash", () => {
    expect(tokenOf("#token=abc-123")).toBe("abc-123");
    expect(tokenOf("")).toBe("");
  });
});

describe("the place to go after signing in", () => {
  it("is a path of this console", () =>
    expect(safeNext("/agents?status=busy")).toBe("/agents?status=busy"));

  it("is never another site", () => {
    expect(safeNext("//evil.example")).toBeUndefined();
    expect(safeNext("/\\evil.example")).toBeUndefined();
    expect(safeNext("https://evil.example")).toBeUndefined();
    expect(safeNext(undefined)).toBeUndefined();
  });
});
