/**
 * One line that says what a tool call is about, and its arguments in reading order. Pure; a tool it
 * does not know shows its first short argument.
 */
import type { JsonObject } from "./events";

const TELLING = ["path", "command", "pattern", "query", "url", "name", "title"];
const LONGEST = 160;

export function summarize(args: JsonObject): string {
  const key = TELLING.find((name) => typeof args[name] === "string" && args[name] !== "");
  if (key) {
    const place = key === "pattern" && typeof args.path === "string" ? ` ${args.path}` : "";
    return shorten(`${args[key]}${place}`);
  }
  const titles = titlesOf(args);
  if (titles.length > 0) return shorten(titles.join(" · "));
  const first = Object.values(args).find((value) => typeof value === "string" && value !== "");
  return typeof first === "string" ? shorten(first) : "";
}

/** The titles of the first list of titled things: a plan's todos. */
function titlesOf(args: JsonObject): string[] {
  const list = Object.values(args).find(Array.isArray) ?? [];
  return list.flatMap((one: unknown) => {
    const title = typeof one === "object" && one !== null && "title" in one ? one.title : null;
    return typeof title === "string" ? [title] : [];
  });
}

/** One line, with an ellipsis where it was cut. */
export function shorten(text: string, longest = LONGEST): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  const cut = line.length > longest ? line.slice(0, longest) : line;
  return cut.length < text.trim().length ? `${cut}…` : cut;
}

/** Arguments as label and text: strings as they are, anything else as JSON. */
export function argumentList(args: JsonObject): { name: string; text: string; long: boolean }[] {
  return Object.entries(args).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return { name, text, long: text.includes("\n") || text.length > 80 };
  });
}
