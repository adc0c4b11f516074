import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import en from "./en";
import { chosenLanguage } from "./index";
import zh from "./zh-CN";

const SOURCES = join(import.meta.dirname, "..");
const PLURAL = /_(zero|one|two|few|many|other)$/;

type Words = { [key: string]: string | Words };

function flatten(words: Words, prefix = ""): Map<string, string> {
  const flat = new Map<string, string>();
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === "string") flat.set(prefix + key, value);
    else for (const [name, text] of flatten(value, `${prefix}${key}.`)) flat.set(name, text);
  }
  return flat;
}

const english = flatten(en);
const chinese = flatten(zh);
const bare = (keys: Iterable<string>) =>
  [...new Set([...keys].map((key) => key.replace(PLURAL, "")))].sort();
const marks = (text: string) =>
  [...text.matchAll(/\{\{\w+\}\}|<\/?\w+\s*\/?>/g)].map(String).sort();

function sourceFiles(): string[] {
  return readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name) && !/\.test\./.test(name) && !name.startsWith("i18n"))
    .map((name) => join(SOURCES, name));
}

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

describe("the languages", () => {
  it("have the same keys", () => expect(bare(chinese.keys())).toEqual(bare(english.keys())));

  it("use the same placeholders in every text", () => {
    for (const [key, text] of chinese) {
      const other = english.get(key) ?? "";
      expect([key, marks(text)]).toEqual([key, marks(other)]);
    }
  });

  it("leave no text empty and none in English", () => {
    for (const [key, text] of chinese)
      expect([key, /[\u4e00-\u9fff]|^Token$|^\{\{|^输/.test(text)]).toEqual([key, true]);
    for (const [key, text] of english) expect([key, text.trim() !== ""]).toEqual([key, true]);
  });

  it("have every plural form that they need", () => {
    for (const key of english.keys()) {
      if (key.endsWith("_one")) expect(english.has(key.replace("_one", "_other"))).toBe(true);
    }
    expect([...chinese.keys()].filter((key) => key.endsWith("_one"))).toEqual([]);
  });
});

describe("every text of the console", () => {
  it("is used: a key without a place is left over", () => {
    const code = sourceFiles()
      .map((path) => readFileSync(path, "utf8"))
      .join("\n");
    const used = (key: string) => {
      if (code.includes(`"${key}"`)) return true;
      // Keys made from a value: t(`status.${status}`) stands for everything below `status.`.
      const parts = key.split(".");
      return parts.some(
        (_, at) => at > 0 && code.includes(`\`${parts.slice(0, at).join(".")}.\${`),
      );
    };
    expect(bare(english.keys()).filter((key) => !used(key))).toEqual([]);
  });

  it("comes from the languages: no words stand in a component", () => {
    const shown = new Set(["label", "placeholder", "title", "aria-label", "description", "alt"]);
    const found: string[] = [];
    for (const path of sourceFiles().filter((name) => name.endsWith(".tsx"))) {
      const note = (text: string) => {
        if (/\p{L}{2,}/u.test(text)) found.push(`${relative(SOURCES, path)}: ${text.trim()}`);
      };
      walk(parse(path), (node) => {
        if (ts.isJsxText(node)) note(node.text);
        if (
          ts.isJsxAttribute(node) &&
          shown.has(node.name.getText()) &&
          node.initializer &&
          ts.isStringLiteral(node.initializer)
        ) {
          note(node.initializer.text);
        }
      });
    }
    const names = ["Longhouse", "Esc", "bash_run(npm test*)", "main", "/srv/git/project"];
    expect(found.filter((line) => !names.some((name) => line.includes(`: ${name}`)))).toEqual([]);
  });
});

describe("the first language", () => {
  it("is the one that was chosen", () => expect(chosenLanguage("zh-CN", ["en-US"])).toBe("zh-CN"));

  it("is else the first of the browser's that we speak", () => {
    expect(chosenLanguage(null, ["fr", "zh-TW", "en"])).toBe("zh-CN");
    expect(chosenLanguage(null, ["de-DE", "en-GB"])).toBe("en");
    expect(chosenLanguage(null, ["fr"])).toBe("en");
  });
});
