import { describe, expect, it } from "vitest";
import { auditQuery, auditSearch, isFiltered } from "./search";

describe("a search of the audit", () => {
  it("keeps what it knows of an address and nothing else", () => {
    const asked = { action: "login.", outcome: "lost", from: "yesterday", to: "2026-02-30", x: 1 };
    expect(auditSearch(asked)).toEqual({ action: "login." });
  });

  it("spans whole days of the reader", () => {
    const { since, until } = auditQuery({ from: "2026-03-01", to: "2026-03-01" });
    expect(since).toBe(new Date(2026, 2, 1).toISOString());
    expect(until).toBe(new Date(2026, 2, 2).toISOString());
  });

  it("is no filter when it only says whose audit is read", () => {
    expect(isFiltered({ server: true })).toBe(false);
    expect(isFiltered({ server: true, actor: "user_1" })).toBe(true);
  });
});
