import { describe, expect, it } from "vitest";
import { patternFor } from "./pattern";

describe("the rule that would have allowed a call", () => {
  it("names the tool and its main argument", () => {
    expect(patternFor("bash_run", { command: "npm test" })).toBe("bash_run(npm test)");
    expect(patternFor("fs_edit", { path: "a.py", old: "x", new: "y" })).toBe("fs_edit(a.py)");
  });

  it("is the tool's name where there is no main argument", () => {
    expect(patternFor("todo_write", { todos: [] })).toBe("todo_write");
  });

  it("reads a bracket as itself", () => {
    expect(patternFor("fs_read", { path: "a[1].py" })).toBe("fs_read(a?1].py)");
  });

  it("is not there for joined commands, which no rule allows", () => {
    expect(patternFor("bash_run", { command: "git status; rm -rf ." })).toBeNull();
    expect(patternFor("bash_run", { command: "echo $(id)" })).toBeNull();
  });
});
