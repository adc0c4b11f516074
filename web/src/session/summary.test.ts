import { describe, expect, it } from "vitest";
import { paragraphs } from "./paragraphs";
import { argumentList, shorten, summarize } from "./summary";

describe("the summary of a tool call", () => {
  it("is the argument that tells most", () => {
    expect(summarize({ path: "calculator.py", offset: 1 })).toBe("calculator.py");
    expect(summarize({ timeout: 10, command: "pytest -q" })).toBe("pytest -q");
    expect(summarize({ pattern: "def ", path: "src" })).toBe("src");
    expect(summarize({ other: "thing" })).toBe("thing");
    expect(summarize({ todos: [{ title: "Read" }, { title: "Write" }] })).toBe("Read · Write");
    expect(summarize({})).toBe("");
  });

  it("is one line", () => {
    expect(summarize({ command: "cd x\npytest" })).toBe("cd x…");
    expect(shorten("a".repeat(10), 5)).toBe("aaaaa…");
  });
});

describe("arguments", () => {
  it("are shown as text, structures as JSON", () => {
    expect(argumentList({ path: "a", edits: [1] })).toEqual([
      { name: "path", text: "a", long: false },
      { name: "edits", text: "[\n  1\n]", long: true },
    ]);
  });
});

describe("growing markdown", () => {
  it("is cut at blank lines", () => {
    expect(paragraphs("one\ntwo\n\nthree")).toEqual(["one\ntwo", "three"]);
  });

  it("is not cut inside a code fence", () => {
    expect(paragraphs("```py\na\n\nb\n```\n\nend")).toEqual(["```py\na\n\nb\n```", "end"]);
    expect(paragraphs("```\nopen\n\nstill")).toEqual(["```\nopen\n\nstill"]);
  });
});
