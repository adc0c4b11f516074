import { describe, expect, it } from "vitest";
import type { Approval } from "../api/types";
import { titleOf } from "../shell/title";
import { moved, selected } from "./selection";
import { fresh } from "./useApprovalWatch";

describe("the inbox's selection", () => {
  it("stays on its approval when others come and go", () => {
    expect(selected(["a", "b", "c"], "b", 0)).toBe(1);
    expect(selected(["b", "c"], "b", 1)).toBe(0);
  });

  it("moves on to the next when its own is decided", () => {
    expect(selected(["a", "c"], "b", 1)).toBe(1);
    expect(selected(["a"], "b", 1)).toBe(0);
  });

  it("goes down with J and up with K, and not beyond the ends", () => {
    expect(moved(0, "j", 2)).toBe(1);
    expect(moved(1, "j", 2)).toBe(1);
    expect(moved(0, "k", 2)).toBe(0);
  });
});

it("only approvals that were not there before are news", () => {
  const approvals = [
    { session_id: "s1", call_id: "a" },
    { session_id: "s2", call_id: "a" },
  ] as Approval[];

  expect(fresh(approvals, new Set(["s1/a"])).map((one) => one.session_id)).toEqual(["s2"]);
});

it("the tab's title counts what waits", () => {
  expect(titleOf("Agents", 2)).toBe("(2) Agents · Longhouse");
  expect(titleOf("Agents", 0)).toBe("Agents · Longhouse");
});
