import { expect, it } from "vitest";
import { EMPTY_DRAFT, requestOf } from "./draft";

it("a rule that nobody filled in is not sent", () => {
  const rules = [
    { verdict: "allow" as const, pattern: " " },
    { verdict: "deny" as const, pattern: "bash_run" },
  ];

  const body = requestOf({ ...EMPTY_DRAFT, permissions: { mode: "ask", rules } });

  expect(body.permissions.rules).toEqual([{ verdict: "deny", pattern: "bash_run" }]);
});

it("hosts are sent without spaces and empty lines", () => {
  const body = requestOf({ ...EMPTY_DRAFT, hosts: [" example.org ", "", "*.example.org"] });

  expect(body.hosts).toEqual(["example.org", "*.example.org"]);
});

it("limits are left to the house where the post sets none", () => {
  expect("limits" in requestOf(EMPTY_DRAFT)).toBe(false);
});
