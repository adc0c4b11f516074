/**
 * A unified diff (git's or plain) to files, hunks and numbered lines. Pure. It never fails: what it
 * cannot read becomes a line of context, so that nothing of an approval's preview is hidden.
 */
export type DiffLine = {
  kind: "add" | "del" | "context" | "note";
  text: string;
  before: number | null;
  after: number | null;
};

export type DiffHunk = { header: string; lines: DiffLine[] };

export type DiffFile = {
  path: string;
  previous: string;
  status: "added" | "deleted" | "renamed" | "modified";
  binary: boolean;
  additions: number;
  deletions: number;
  hunks: DiffHunk[];
};

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/;

export function parseDiff(patch: string): DiffFile[] {
  const files: DiffFile[] = [];
  let file: DiffFile | null = null;
  let hunk: DiffHunk | null = null;
  let before = 0;
  let after = 0;
  // How many lines the open hunk still has, by its header: a deleted "-- x" is no file header.
  let leftBefore = 0;
  let leftAfter = 0;

  const begin = (): DiffFile => {
    const made: DiffFile = {
      path: "",
      previous: "",
      status: "modified",
      binary: false,
      additions: 0,
      deletions: 0,
      hunks: [],
    };
    files.push(made);
    hunk = null;
    return made;
  };

  const lines = patch.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const raw of lines) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (hunk && (leftBefore > 0 || leftAfter > 0)) {
      const current: DiffHunk = hunk;
      const mark = line[0] ?? " ";
      const text = line.slice(1);
      if (mark === "+" && file) {
        current.lines.push({ kind: "add", text, before: null, after });
        after += 1;
        leftAfter -= 1;
        file.additions += 1;
        continue;
      }
      if (mark === "-" && file) {
        current.lines.push({ kind: "del", text, before, after: null });
        before += 1;
        leftBefore -= 1;
        file.deletions += 1;
        continue;
      }
      if (mark === " ") {
        current.lines.push({ kind: "context", text, before, after });
        before += 1;
        after += 1;
        leftBefore -= 1;
        leftAfter -= 1;
        continue;
      }
    }
    if (line.startsWith("\\")) {
      const open = hunk as DiffHunk | null;
      open?.lines.push({ kind: "note", text: line.slice(2), before: null, after: null });
      continue;
    }
    const header = HUNK.exec(line);
    if (header) {
      file ??= begin();
      before = Number(header[1]);
      after = Number(header[3]);
      leftBefore = Number(header[2] ?? 1);
      leftAfter = Number(header[4] ?? 1);
      hunk = { header: header[5] ?? "", lines: [] };
      file.hunks.push(hunk);
      continue;
    }
    if (line.startsWith("diff --git ")) {
      file = begin();
      const halves = / (?:"?a\/(.*?)"?) "?b\/(.*?)"?$/.exec(line.slice("diff --git".length));
      file.previous = unquote(halves?.[1] ?? "");
      file.path = unquote(halves?.[2] ?? "");
    } else if (line.startsWith("--- ")) {
      if (!file || file.hunks.length > 0) file = begin();
      const path = pathOf(line.slice(4));
      if (path === null) file.status = "added";
      else file.previous = path;
    } else if (line.startsWith("+++ ")) {
      file ??= begin();
      const path = pathOf(line.slice(4));
      if (path === null) file.status = "deleted";
      else file.path = path;
      if (!file.path) file.path = file.previous;
    } else if (file && line.startsWith("new file mode")) {
      file.status = "added";
    } else if (file && line.startsWith("deleted file mode")) {
      file.status = "deleted";
    } else if (file && line.startsWith("rename from ")) {
      file.status = "renamed";
      file.previous = unquote(line.slice("rename from ".length));
    } else if (file && line.startsWith("rename to ")) {
      file.path = unquote(line.slice("rename to ".length));
    } else if (file && (line.startsWith("Binary files ") || line.startsWith("GIT binary patch"))) {
      file.binary = true;
    }
  }
  return files;
}

/** Lines added and deleted over all files. */
export function countLines(files: readonly DiffFile[]): { additions: number; deletions: number } {
  return files.reduce(
    (sum, file) => ({
      additions: sum.additions + file.additions,
      deletions: sum.deletions + file.deletions,
    }),
    { additions: 0, deletions: 0 },
  );
}

/** The path of a `---` or `+++` line; null for /dev/null. */
function pathOf(text: string): string | null {
  const path = unquote(text.split("\t")[0] ?? text);
  if (path === "/dev/null") return null;
  return path.replace(/^[ab]\//, "");
}

/** Undoes git's C quoting: octal escapes are bytes of UTF-8. */
export function unquote(path: string): string {
  const inner = /^"(.*)"$/.exec(path)?.[1] ?? (path.includes("\\") ? path : null);
  if (inner === null) return path;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (let at = 0; at < inner.length; at += 1) {
    const octal = /^\\([0-7]{3})/.exec(inner.slice(at, at + 4));
    if (octal) {
      bytes.push(Number.parseInt(octal[1] ?? "0", 8));
      at += 3;
    } else if (inner[at] === "\\") {
      at += 1;
      const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r" };
      const char = inner[at] ?? "";
      bytes.push(...encoder.encode(escapes[char] ?? char));
    } else {
      const char = String.fromCodePoint(inner.codePointAt(at) ?? 0);
      bytes.push(...encoder.encode(char));
      at += char.length - 1;
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}
