import { expect, it } from "vitest";
import { suggestName } from "./names";

it("a new agent is named after its post", () => {
  expect(suggestName("Engineer", [])).toBe("Engineer");
});

it("a taken name gets a number, whatever its letters' case", () => {
  expect(suggestName("Engineer", ["engineer", "Engineer 2"])).toBe("Engineer 3");
});
