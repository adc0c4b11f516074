/**
 * A session as a fold of its journal: `fold(view, items)` is the only way a view changes. Pure, so
 * that no gap and no repeat can be tested without a server.
 *
 * Pages of the past give rows only; what is true now (state, todos, approvals, tokens) comes from
 * the session as it was read, and from every later event.
 */
import { type Approval, type Session, type Usage, wholeUsage } from "../api/types";
import type { Picked } from "./attachments";
import type { Delta, SessionEvent, SessionState, Todo } from "./events";
import { addDelta, forget, type Live, QUIET, settle } from "./live";
import { addRows, NO_ROWS, type Rows } from "./rows";

export type Pending = Pick<
  Approval,
  "call_id" | "name" | "arguments" | "reason" | "preview" | "requested_at"
>;

export type Outgoing = {
  messageId: string;
  text: string;
  picked: readonly Picked[];
  time: string;
  failed: boolean;
};

export type SessionView = {
  /** Highest and lowest number folded; between them nothing is missing. */
  readonly last: number;
  readonly first: number;
  readonly events: readonly SessionEvent[];
  readonly rows: Rows;
  readonly live: Live;
  /** Messages the server has not yet echoed as events. */
  readonly outbox: readonly Outgoing[];
  readonly state: SessionState;
  readonly turn: number;
  readonly step: number;
  readonly model: string;
  readonly todos: readonly Todo[];
  readonly approvals: readonly Pending[];
  readonly usage: Required<Usage>;
  /** Ends that this view saw happen; the workspace may have changed. */
  readonly revision: number;
};

export type Item =
  | { kind: "event"; event: SessionEvent }
  | { kind: "delta"; delta: Delta }
  | { kind: "older"; events: readonly SessionEvent[] }
  | { kind: "reconnected" }
  | { kind: "sending"; message: Outgoing }
  | { kind: "refused"; messageId: string }
  | { kind: "dropped"; messageId: string };

/** An event came whose predecessor did not: the stream must be taken up again after `last`. */
export class Gap extends Error {}

/** What a view begins with, besides its events. */
export type Opened = Pick<
  Session,
  "last_seq" | "state" | "turn" | "step" | "todos" | "approvals" | "usage"
>;

/** The view of a session just read, with the newest page of its events (ascending). */
export function open(session: Opened, newest: readonly SessionEvent[]): SessionView {
  const events = newest.filter((event) => event.seq <= session.last_seq);
  const view: SessionView = {
    last: session.last_seq,
    first: events[0]?.seq ?? session.last_seq + 1,
    events,
    rows: addRows(NO_ROWS, events),
    live: events.reduce(settle, QUIET),
    outbox: [],
    state: session.state,
    turn: session.turn,
    step: session.step,
    model: "",
    todos: session.todos,
    approvals: session.approvals,
    usage: wholeUsage(session.usage),
    revision: 0,
  };
  const started = events.reduce(lastModel, "");
  return { ...view, model: started, live: forget(view.live) };
}

/** The view after these items, in order. Events already folded are dropped; a gap is an error. */
export function fold(view: SessionView, items: readonly Item[]): SessionView {
  let next = view;
  let fresh: SessionEvent[] = [];
  const flush = () => {
    if (fresh.length === 0) return;
    const rows = addRows(next.rows, fresh);
    next = { ...next, rows, events: [...next.events, ...fresh] };
    fresh = [];
  };
  for (const item of items) {
    if (item.kind === "event") {
      if (item.event.seq <= next.last) continue;
      if (item.event.seq > next.last + 1) throw new Gap(`after ${next.last}: ${item.event.seq}`);
      fresh.push(item.event);
      next = advance(next, item.event);
    } else {
      flush();
      next = apply(next, item);
    }
  }
  flush();
  return next;
}

function apply(view: SessionView, item: Exclude<Item, { kind: "event" }>): SessionView {
  switch (item.kind) {
    case "delta":
      return { ...view, live: addDelta(view.live, item.delta) };
    case "older":
      return prepend(view, item.events);
    case "reconnected":
      return { ...view, live: forget(view.live) };
    case "sending":
      return { ...view, outbox: [...without(view.outbox, item.message.messageId), item.message] };
    case "refused":
      return {
        ...view,
        outbox: view.outbox.map((message) =>
          message.messageId === item.messageId ? { ...message, failed: true } : message,
        ),
      };
    case "dropped":
      return { ...view, outbox: without(view.outbox, item.messageId) };
  }
}

/** A tool call may begin on the older page and end on this one, so the rows are made anew. */
function prepend(view: SessionView, older: readonly SessionEvent[]): SessionView {
  const before = older.filter((event) => event.seq < view.first);
  if (before.length === 0) return view;
  const events = [...before, ...view.events];
  return {
    ...view,
    first: before[0]?.seq ?? view.first,
    events,
    rows: addRows(NO_ROWS, events),
  };
}

/** Everything but rows. */
function advance(view: SessionView, event: SessionEvent): SessionView {
  const next = { ...view, last: event.seq, live: settle(view.live, event) };
  switch (event.type) {
    case "message":
      return { ...next, outbox: without(view.outbox, event.message_id) };
    case "state_changed":
      return { ...next, state: event.after };
    case "step_started":
      return { ...next, turn: event.turn, step: event.step };
    case "step_complete":
      return { ...next, model: event.model };
    case "token_usage":
      return { ...next, usage: add(view.usage, event.usage) };
    case "todo_changed":
      return { ...next, todos: event.after ?? [] };
    case "permission_required":
      return {
        ...next,
        approvals: [
          ...view.approvals.filter((pending) => pending.call_id !== event.call_id),
          {
            call_id: event.call_id,
            name: event.name,
            arguments: event.arguments,
            reason: event.reason,
            preview: event.preview ?? "",
            requested_at: event.time,
          },
        ],
      };
    case "permission_decided":
      return { ...next, approvals: view.approvals.filter((one) => one.call_id !== event.call_id) };
    case "tool_end":
    case "done":
      return { ...next, revision: view.revision + 1 };
    default:
      return next;
  }
}

function lastModel(model: string, event: SessionEvent): string {
  return event.type === "step_complete" ? event.model : model;
}

function without(outbox: readonly Outgoing[], messageId: string): readonly Outgoing[] {
  return outbox.filter((message) => message.messageId !== messageId);
}

function add(total: Required<Usage>, more: Usage): Required<Usage> {
  return {
    input: total.input + (more.input ?? 0),
    output: total.output + (more.output ?? 0),
    cached: total.cached + (more.cached ?? 0),
    reasoning: total.reasoning + (more.reasoning ?? 0),
  };
}
