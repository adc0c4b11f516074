/**
 * What a key press means while an approval waits. Pure; the approval bar and the inbox ask it.
 *
 *   Enter allows · Escape opens the note, where Enter denies and Escape goes back · A always allows
 */
export type KeyAction = "allow" | "always" | "open-note" | "deny" | "close-note" | null;

export type KeyContext = {
  key: string;
  /** The key is held down: never a decision. */
  repeat: boolean;
  /** Ctrl, Alt, Meta or Shift is down, or an input method composes (Chinese input ends on Enter). */
  modified: boolean;
  /** Where the focus is. A control acts on Enter by itself; a field with a draft sends it. */
  focus: "page" | "empty-field" | "field" | "note" | "control";
  noteOpen: boolean;
  /** Milliseconds the approval has been on screen. */
  shownFor: number;
};

/** A key on its way while the approval appeared was meant for something else. */
export const ARM_AFTER_MS = 400;

export function approvalKey(context: KeyContext): KeyAction {
  if (context.repeat || context.modified) return null;
  if (context.focus === "note") {
    if (context.key === "Enter") return "deny";
    return context.key === "Escape" ? "close-note" : null;
  }
  if (context.key === "Escape") return context.noteOpen ? "close-note" : "open-note";
  if (context.noteOpen) return null;
  if (context.key === "a") {
    return context.focus === "page" || context.focus === "control" ? "always" : null;
  }
  if (context.key !== "Enter") return null;
  if (context.focus === "field" || context.focus === "control") return null;
  return context.shownFor >= ARM_AFTER_MS ? "allow" : null;
}
