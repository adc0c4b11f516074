import { expect, it } from "vitest";
import { parseReason } from "./reason";

it("the mode or the rule that asks is told apart from a hook's own words", () => {
  expect(parseReason("mode: ask")).toEqual({ kind: "mode", mode: "ask" });
  expect(parseReason("rule: ask bash_run(git *)")).toEqual({
    kind: "rule",
    pattern: "bash_run(git *)",
  });
  expect(parseReason("Looks dangerous.")).toEqual({ kind: "words", text: "Looks dangerous." });
});

it("which sub-agent asks is told apart from why", () => {
  expect(parseReason("sub-agent of post Reader: mode: ask")).toEqual({
    kind: "delegated",
    post: "Reader",
    reason: { kind: "mode", mode: "ask" },
  });
});
