/** The rule that would have allowed a call: its tool, and in brackets its main argument. Pure. */
import type { JsonObject } from "./events";

/** What a tool's rules are matched with, by the first of these that it has. */
const SUBJECTS = ["command", "path", "url", "pattern"];
/** What joins commands: the server lets no allowing rule match them. */
const JOINED = /[;&|<>`\n\r]|\$\(|\$\{/;

/** Null where no rule can allow it: nobody should be offered one that does nothing. */
export function patternFor(tool: string, args: JsonObject): string | null {
  const subject = SUBJECTS.map((name) => args[name]).find((value) => typeof value === "string");
  if (typeof subject !== "string" || subject === "") return tool;
  if (JOINED.test(subject)) return null;
  // A bracket would begin a set of characters; a question mark stands for any one.
  return `${tool}(${subject.replace(/\[/g, "?")})`;
}
