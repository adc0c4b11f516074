/**
 * Events to the rows of a transcript. Pure. A tool call is one row however many events speak of it;
 * a row that changes is replaced, never mutated, so that memoised components see it.
 */
import type { Attached, DoneReason, JsonObject, Outcome, SessionEvent } from "./events";

type Base = { key: string; seq: number; time: string };

export type MessageRow = Base & {
  kind: "message";
  messageId: string;
  text: string;
  sender: string;
  attachments: readonly Attached[];
  /** A step has listed it: the model has read it. */
  read: boolean;
};
export type ThinkingRow = Base & { kind: "thinking"; text: string };
export type TextRow = Base & { kind: "text"; text: string };

/** Where a tool call stands: asked for, waiting for a person, running, ended. */
export type ToolPhase = "called" | "waiting" | "running" | "ended";

export type ToolRow = Base & {
  kind: "tool";
  callId: string;
  name: string;
  arguments: JsonObject;
  malformed: string;
  phase: ToolPhase;
  attempt: number;
  outcome: Outcome | null;
  content: string;
  diff: string;
  attachments: readonly Attached[];
  durationMs: number | null;
  /** Calls of its sub-agent that wait for a person. */
  asks: readonly string[];
  decision: { verdict: "allow" | "deny" | "cancelled"; note: string; by: string } | null;
};
export type DoneRow = Base & {
  kind: "done";
  reason: DoneReason;
  detail: string;
  turn: number;
  /** The object that the turn's message asked for. */
  answer: JsonObject | null;
};
export type ErrorRow = Base & {
  kind: "error";
  severity: "warning" | "error" | "fatal";
  message: string;
  hint: string;
  retryIn: number | null;
};
export type ResumedRow = Base & { kind: "resumed"; sealed: number; repeated: number };
export type InterruptRow = Base & { kind: "interrupt"; by: string };

/** Something that happened beside the conversation: one quiet line, with more behind it. */
export type Note =
  | { about: "compressed"; summarised: number; kept: number; summary: string }
  | { about: "snapshot"; name: string; at: number }
  | { about: "forked"; parent: string; at: number; snapshot: string }
  | { about: "file"; path: string; gone: boolean }
  | { about: "skill"; name: string; description: string }
  | { about: "post"; post: string; version: number }
  | { about: "refused"; problems: string }
  | { about: "schedule"; change: "set" | "cancelled" | "fired"; name: string };
export type NoteRow = Base & { kind: "note"; note: Note };

export type Row =
  | MessageRow
  | ThinkingRow
  | TextRow
  | ToolRow
  | DoneRow
  | ErrorRow
  | ResumedRow
  | InterruptRow
  | NoteRow;

export type Rows = {
  readonly list: readonly Row[];
  /** Call id or message id -> index in `list`. */
  readonly index: ReadonlyMap<string, number>;
};

export const NO_ROWS: Rows = { list: [], index: new Map() };

/** The rows after these events too. Copies once for a whole batch. */
export function addRows(rows: Rows, events: readonly SessionEvent[]): Rows {
  if (events.length === 0) return rows;
  const list = [...rows.list];
  const index = new Map(rows.index);
  for (const event of events) addRow(list, index, event);
  return { list, index };
}

function addRow(list: Row[], index: Map<string, number>, event: SessionEvent): void {
  const base = { key: `e${event.seq}`, seq: event.seq, time: event.time };
  switch (event.type) {
    case "message":
      index.set(event.message_id, list.length);
      list.push({
        ...base,
        kind: "message",
        messageId: event.message_id,
        text: event.text,
        sender: event.sender ?? "",
        attachments: event.attachments ?? [],
        read: false,
      });
      return;
    case "thinking":
    case "text":
      if (event.text) list.push({ ...base, kind: event.type, text: event.text });
      return;
    case "tool_call":
      changeTool(list, index, event, {
        arguments: event.arguments,
        malformed: event.malformed ?? "",
      });
      return;
    case "permission_required":
      if (event.delegated_by) {
        changeAsks(list, index, event.delegated_by, (asks) => [...asks, event.call_id]);
        index.set(event.call_id, index.get(event.delegated_by) ?? -1);
        return;
      }
      changeTool(list, index, event, { phase: "waiting", arguments: event.arguments });
      return;
    case "permission_decided": {
      const asked = list[index.get(event.call_id) ?? -1];
      if (asked?.kind === "tool" && asked.callId !== event.call_id) {
        const without = (asks: readonly string[]) => asks.filter((id) => id !== event.call_id);
        changeAsks(list, index, asked.callId, without);
        return;
      }
      const { decision, note = "", by = "" } = event;
      const change: Partial<ToolRow> = { decision: { verdict: decision, note, by } };
      if (decision === "allow") change.phase = "called";
      changeKnownTool(list, index, event.call_id, change);
      return;
    }
    case "tool_start":
      changeTool(list, index, event, { phase: "running", attempt: event.attempt ?? 1 });
      return;
    case "tool_end":
      changeTool(list, index, event, {
        phase: "ended",
        outcome: event.outcome,
        content: event.content,
        diff: event.diff ?? "",
        attachments: event.attachments ?? [],
      });
      return;
    case "tool_executed":
      changeKnownTool(list, index, event.call_id, { durationMs: event.duration_ms });
      return;
    case "step_started":
      for (const id of event.messages ?? []) markRead(list, index, id);
      return;
    case "done":
      list.push({
        ...base,
        kind: "done",
        reason: event.reason,
        detail: event.detail ?? "",
        turn: event.turn,
        answer: event.answer ?? null,
      });
      return;
    case "error":
      list.push({
        ...base,
        kind: "error",
        severity: event.severity,
        message: event.message,
        hint: event.hint ?? "",
        retryIn: event.retry_in ?? null,
      });
      return;
    case "agent_resumed":
      list.push({
        ...base,
        kind: "resumed",
        sealed: event.sealed?.length ?? 0,
        repeated: event.repeated?.length ?? 0,
      });
      return;
    case "interrupt_requested":
      list.push({ ...base, kind: "interrupt", by: event.by ?? "" });
      return;
    default: {
      const note = noteOf(event, list);
      if (note) list.push({ ...base, kind: "note", note });
    }
  }
}

/** Null for states, usage and plans, which are no rows, and for what a newer server may send. */
function noteOf(event: SessionEvent, before: readonly Row[]): Note | null {
  switch (event.type) {
    case "context_compressed": {
      const { phase, summarised, kept, summary = "" } = event;
      return phase === "end" ? { about: "compressed", summarised, kept, summary } : null;
    }
    case "snapshot":
      return { about: "snapshot", name: event.name, at: event.at };
    case "agent_forked": {
      const { parent, at, snapshot = "" } = event;
      return { about: "forked", parent, at, snapshot };
    }
    case "file_changed":
      return { about: "file", path: event.path, gone: !event.after };
    case "skill_discovered":
      return { about: "skill", name: event.name, description: event.description };
    case "post_followed": {
      // The first one says what everybody knows: a session begins with its post.
      const { post, version = 0 } = event;
      return before.some((row) => row.kind === "done") ? { about: "post", post, version } : null;
    }
    case "answer_refused":
      return { about: "refused", problems: event.problems };
    case "schedule_set":
      return { about: "schedule", change: "set", name: event.name };
    case "schedule_cancelled":
      return { about: "schedule", change: "cancelled", name: event.name };
    case "schedule_fired":
      return { about: "schedule", change: "fired", name: event.name };
    default:
      return null;
  }
}

type OfCall = { seq: number; time: string; call_id: string; name: string };

/** Changes the call's row; makes it when its `tool_call` is on a page that is not loaded yet. */
function changeTool(
  list: Row[],
  index: Map<string, number>,
  event: OfCall,
  change: Partial<ToolRow>,
): void {
  if (!index.has(event.call_id)) {
    index.set(event.call_id, list.length);
    list.push({
      key: event.call_id,
      seq: event.seq,
      time: event.time,
      kind: "tool",
      callId: event.call_id,
      name: event.name,
      arguments: {},
      malformed: "",
      phase: "called",
      attempt: 1,
      outcome: null,
      content: "",
      diff: "",
      attachments: [],
      durationMs: null,
      asks: [],
      decision: null,
    });
  }
  changeKnownTool(list, index, event.call_id, change);
}

function changeKnownTool(
  list: Row[],
  index: ReadonlyMap<string, number>,
  callId: string,
  change: Partial<ToolRow>,
): void {
  const at = index.get(callId);
  if (at === undefined) return;
  const row = list[at];
  if (row?.kind === "tool") list[at] = { ...row, ...change };
}

/** Changes what the sub-agent of a call asks. */
function changeAsks(
  list: Row[],
  index: ReadonlyMap<string, number>,
  callId: string,
  change: (asks: readonly string[]) => readonly string[],
): void {
  const row = list[index.get(callId) ?? -1];
  if (row?.kind === "tool") changeKnownTool(list, index, callId, { asks: change(row.asks) });
}

function markRead(list: Row[], index: ReadonlyMap<string, number>, messageId: string): void {
  const at = index.get(messageId);
  if (at === undefined) return;
  const row = list[at];
  if (row?.kind === "message") list[at] = { ...row, read: true };
}
