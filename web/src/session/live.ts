/**
 * Text that is still being written. Deltas are not stored and have no number: they show while their
 * step is open and vanish when its complete blocks arrive. Pure.
 */
import type { Delta, SessionEvent } from "./events";

export type LiveCall = { callId: string; name: string; size: number };

export type Live = {
  /** The step whose model call runs now; deltas of any other step are too late. */
  readonly step: number | null;
  readonly thinking: string;
  readonly text: string;
  readonly calls: readonly LiveCall[];
  /** The beginning was missed (opened or reconnected in the middle). */
  readonly partial: boolean;
};

export const QUIET: Live = { step: null, thinking: "", text: "", calls: [], partial: false };

export function addDelta(live: Live, delta: Delta): Live {
  if (live.step !== delta.step) return live;
  switch (delta.kind) {
    case "thinking":
      return { ...live, thinking: live.thinking + delta.text };
    case "text":
      return { ...live, text: live.text + delta.text };
    case "tool_call":
      return { ...live, calls: addToCall(live.calls, delta) };
  }
}

/** What an event does to the live text: opens a step, replaces a part of it, or ends it. */
export function settle(live: Live, event: SessionEvent): Live {
  switch (event.type) {
    case "step_started":
      return { ...QUIET, step: event.step };
    case "thinking":
      return live.step === event.step ? { ...live, thinking: "" } : live;
    case "text":
      return live.step === event.step ? { ...live, text: "" } : live;
    case "tool_call":
      return live.step === event.step
        ? { ...live, calls: live.calls.filter((call) => call.callId !== event.call_id) }
        : live;
    case "error": // the attempt is lost; its text comes again
      return event.phase === "model" ? { ...QUIET, step: live.step } : live;
    case "step_complete":
    case "agent_resumed":
    case "done":
      return live === QUIET ? live : QUIET;
    default:
      return live;
  }
}

/** After a reconnect some deltas are missing: better nothing than a sentence with a hole. */
export function forget(live: Live): Live {
  return live.step === null ? live : { ...QUIET, step: live.step, partial: true };
}

function addToCall(calls: readonly LiveCall[], delta: Delta): readonly LiveCall[] {
  const id = delta.call_id ?? "";
  const known = calls.find((call) => call.callId === id);
  if (!known) return [...calls, { callId: id, name: delta.name ?? "", size: delta.text.length }];
  return calls.map((call) =>
    call === known
      ? { ...call, name: call.name || (delta.name ?? ""), size: call.size + delta.text.length }
      : call,
  );
}
