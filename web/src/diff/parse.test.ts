import { describe, expect, it } from "vitest";
import { countLines, parseDiff, unquote } from "./parse";

const SIMPLE = `diff --git a/calculator.py b/calculator.py
index 1..2 100644
--- a/calculator.py
+++ b/calculator.py
@@ -1,3 +1,4 @@ def add
 def add(a, b):
-    return a - b
+    return a + b
+
 # end
`;

describe("a diff", () => {
  it("gives path, counts and numbered lines", () => {
    const [file] = parseDiff(SIMPLE);

    expect(file).toMatchObject({ path: "calculator.py", additions: 2, deletions: 1 });
    expect(file?.hunks[0]?.header).toBe("def add");
    expect(file?.hunks[0]?.lines).toEqual([
      { kind: "context", text: "def add(a, b):", before: 1, after: 1 },
      { kind: "del", text: "    return a - b", before: 2, after: null },
      { kind: "add", text: "    return a + b", before: null, after: 2 },
      { kind: "add", text: "", before: null, after: 3 },
      { kind: "context", text: "# end", before: 3, after: 4 },
    ]);
  });

  it("without git's header is read too", () => {
    const [file] = parseDiff("--- a/x.txt\n+++ b/x.txt\n@@ -1 +1 @@\n-a\n+b\n");

    expect(file).toMatchObject({ path: "x.txt", status: "modified", additions: 1, deletions: 1 });
  });

  it("of several files keeps them apart", () => {
    const files = parseDiff(`${SIMPLE}diff --git a/b.txt b/b.txt
new file mode 100644
--- /dev/null
+++ b/b.txt
@@ -0,0 +1 @@
+new
\\ No newline at end of file
`);

    expect(files.map((file) => [file.path, file.status])).toEqual([
      ["calculator.py", "modified"],
      ["b.txt", "added"],
    ]);
    expect(files[1]?.hunks[0]?.lines.at(-1)?.kind).toBe("note");
    expect(countLines(files)).toEqual({ additions: 3, deletions: 1 });
  });

  it("knows deleted, renamed and binary files", () => {
    const files = parseDiff(`diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/old name.txt b/new name.txt
similarity index 100%
rename from old name.txt
rename to new name.txt
diff --git a/logo.png b/logo.png
index 1..2 100644
Binary files a/logo.png and b/logo.png differ
`);

    expect(files.map((file) => [file.path, file.status, file.binary])).toEqual([
      ["gone.txt", "deleted", false],
      ["new name.txt", "renamed", false],
      ["logo.png", "modified", true],
    ]);
    expect(files[1]?.previous).toBe("old name.txt");
  });

  it("does not take a deleted line of dashes for a file header", () => {
    const files = parseDiff(
      "--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,2 @@\n--- old comment\n+++ odd\n x\n",
    );

    expect(files).toHaveLength(1);
    expect(files[0]).toMatchObject({ additions: 1, deletions: 1 });
  });

  it("strips carriage returns", () => {
    const [file] = parseDiff("--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n");

    expect(file?.path).toBe("x");
    expect(file?.hunks[0]?.lines.map((line) => line.text)).toEqual(["a", "b"]);
  });

  it("of nothing is no file", () => expect(parseDiff("")).toEqual([]));
});

describe("a quoted path", () => {
  it("is decoded as UTF-8", () => {
    expect(unquote('"\\346\\226\\207.txt"')).toBe("文.txt");
    expect(unquote('"tab\\there"')).toBe("tab\there");
    expect(unquote("plain.txt")).toBe("plain.txt");
  });

  it("of a diff is shown as people write it", () => {
    const [file] = parseDiff(
      'diff --git "a/\\346\\226\\207.txt" "b/\\346\\226\\207.txt"\n--- /dev/null\n+++ "b/\\346\\226\\207.txt"\n@@ -0,0 +1 @@\n+x\n',
    );

    expect(file?.path).toBe("文.txt");
  });
});
