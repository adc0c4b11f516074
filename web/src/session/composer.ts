/** What a key means in the message field. Pure. */
export type ComposerKey = "send" | "line" | null;

type Press = Pick<
  KeyboardEvent,
  "key" | "shiftKey" | "ctrlKey" | "metaKey" | "altKey" | "isComposing"
>;

/** Enter (alone, with Ctrl or with Cmd) sends; Shift-Enter is a new line; input methods come first. */
export function composerKey(press: Press): ComposerKey {
  if (press.key !== "Enter" || press.isComposing || press.altKey) return null;
  return press.shiftKey ? "line" : "send";
}
