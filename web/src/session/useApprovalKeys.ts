/** Puts `approvalKeys` on the page: for as long as one approval is the one that keys decide. */
import { useEffect, useRef } from "react";
import { approvalKey, type KeyContext } from "./approvalKeys";

export type ApprovalActions = {
  allow: () => void;
  always: () => void;
  deny: () => void;
  openNote: () => void;
  closeNote: () => void;
};

/** `callId` null: no keys. Marks the note's field by `data-approval-note`. */
export function useApprovalKeys(
  callId: string | null,
  noteOpen: boolean,
  actions: ApprovalActions,
) {
  const latest = useRef({ noteOpen, actions });
  latest.current = { noteOpen, actions };
  useEffect(() => {
    if (callId === null) return;
    const shown = performance.now();
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || dialogIsOpen()) return;
      const { noteOpen: open, actions: act } = latest.current;
      const action = approvalKey({
        key: event.key,
        repeat: event.repeat,
        modified:
          event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing,
        focus: focusOf(event.target),
        noteOpen: open,
        shownFor: performance.now() - shown,
      });
      if (!action) return;
      event.preventDefault();
      ({
        allow: act.allow,
        always: act.always,
        deny: act.deny,
        "open-note": act.openNote,
        "close-note": act.closeNote,
      })[action]();
    };
    // Before the message field sees the key: an empty one would swallow Enter.
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, [callId]);
}

export function focusOf(target: EventTarget | null): KeyContext["focus"] {
  if (!(target instanceof HTMLElement)) return "page";
  if (target.closest("[data-approval-note]")) return "note";
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement) {
    return target.value.trim() === "" ? "empty-field" : "field";
  }
  return target.closest("button, a, select, summary, [role=tab], [role=radio]")
    ? "control"
    : "page";
}

function dialogIsOpen(): boolean {
  return document.querySelector("[role=dialog], [role=menu]") !== null;
}
