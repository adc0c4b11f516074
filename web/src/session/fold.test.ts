import { describe, expect, it } from "vitest";
import type { Session } from "../api/types";
import type { SessionEvent } from "./events";
import { fold, Gap, type Item, open } from "./fold";
import type { ToolRow } from "./rows";

const session = (over: Partial<Session> = {}): Session => ({
  id: "session_1",
  agent_id: "agent_1",
  title: "",
  state: "ready",
  turn: 0,
  step: 0,
  last_seq: 0,
  todos: [],
  approvals: [],
  usage: { input: 0, output: 0, cached: 0, reasoning: 0 },
  created_at: "",
  updated_at: "",
  ...over,
});

let clock = 0;
// biome-ignore lint/suspicious/noExplicitAny: a test names only the fields it is about
const event = (seq: number, body: any): SessionEvent => {
  clock += 1;
  return { seq, time: new Date(clock).toISOString(), channel: "progress", ...body };
};
const live = (...events: SessionEvent[]): Item[] =>
  events.map((one) => ({ kind: "event", event: one }));
const delta = (step: number, text: string): Item => ({
  kind: "delta",
  delta: { step, kind: "text", text },
});

const message = (seq: number) => event(seq, { type: "message", message_id: `m${seq}`, text: "hi" });
const started = (seq: number, step: number, messages: string[] = []) =>
  event(seq, { type: "step_started", turn: 1, step, messages });
const text = (seq: number, step: number, words: string) =>
  event(seq, { type: "text", step, text: words });
const complete = (seq: number, step: number) =>
  event(seq, { type: "step_complete", step, model: "demo" });
const call = (seq: number) =>
  event(seq, { type: "tool_call", step: 1, call_id: "c1", name: "fs_edit", arguments: { a: 1 } });
const asked = (seq: number) =>
  event(seq, {
    type: "permission_required",
    call_id: "c1",
    name: "fs_edit",
    arguments: { a: 1 },
    reason: "mode ask",
    preview: "+1",
  });

describe("events", () => {
  it("become rows in their order", () => {
    const view = fold(open(session(), []), live(message(1), started(2, 1), text(3, 1, "yes")));

    expect(view.rows.list.map((row) => row.kind)).toEqual(["message", "text"]);
    expect(view.last).toBe(3);
  });

  it("that were folded already are dropped, so that a reconnect repeats nothing", () => {
    const view = fold(open(session(), []), live(message(1), text(2, 1, "yes")));

    const again = fold(view, live(message(1), text(2, 1, "yes"), message(3)));

    expect(again.rows.list).toHaveLength(3);
    expect(again.last).toBe(3);
  });

  it("with a missing predecessor are a gap", () => {
    expect(() => fold(open(session(), []), live(message(1), message(3)))).toThrow(Gap);
  });

  it("of an unknown type count, but show nothing", () => {
    const view = fold(open(session(), []), live(event(1, { type: "from_the_future" })));

    expect(view.last).toBe(1);
    expect(view.rows.list).toEqual([]);
  });

  it("that are newer than the session as it was read wait for the stream", () => {
    const view = open(session({ last_seq: 1 }), [message(1), message(2)]);

    expect(view.last).toBe(1);
    expect(fold(view, live(message(2))).rows.list).toHaveLength(2);
  });
});

describe("deltas", () => {
  it("grow the open step's text", () => {
    const view = fold(open(session(), []), [...live(started(1, 1)), delta(1, "he"), delta(1, "y")]);

    expect(view.live.text).toBe("hey");
  });

  it("give way to the complete block", () => {
    const view = fold(open(session(), []), [
      ...live(started(1, 1)),
      delta(1, "he"),
      ...live(text(2, 1, "hey"), complete(3, 1)),
    ]);

    expect(view.live.text).toBe("");
    expect(view.rows.list.map((row) => row.kind)).toEqual(["text"]);
  });

  it("of a step that is complete are dropped", () => {
    const view = fold(open(session(), []), [
      ...live(started(1, 1), text(2, 1, "hey"), complete(3, 1)),
      delta(1, "late"),
    ]);

    expect(view.live.text).toBe("");
  });

  it("of the first step of a later turn are shown, though the number came before", () => {
    const view = fold(open(session(), []), [
      ...live(
        started(1, 1),
        complete(2, 1),
        event(3, { type: "done", turn: 1, reason: "completed" }),
      ),
      ...live(started(4, 1)),
      delta(1, "again"),
    ]);

    expect(view.live.text).toBe("again");
  });

  it("start anew when a model call is tried again", () => {
    const failed = event(2, { type: "error", phase: "model", severity: "warning", message: "429" });
    const view = fold(open(session(), []), [
      ...live(started(1, 1)),
      delta(1, "half a sen"),
      ...live(failed),
      delta(1, "whole"),
    ]);

    expect(view.live.text).toBe("whole");
  });

  it("missed by a reconnect leave no sentence with a hole", () => {
    const view = fold(open(session(), []), [
      ...live(started(1, 1)),
      delta(1, "one "),
      { kind: "reconnected" },
      delta(1, "three"),
    ]);

    expect(view.live.text).toBe("three");
    expect(view.live.partial).toBe(true);
  });

  it("of a step that was open when the session was read are shown", () => {
    const view = open(session({ last_seq: 1, state: "working", step: 4 }), [started(1, 4)]);

    expect(fold(view, [delta(4, "on")]).live.text).toBe("on");
  });
});

describe("a tool call", () => {
  const tool = (items: Item[]): ToolRow => {
    const row = fold(open(session(), []), items).rows.list.find((one) => one.kind === "tool");
    if (row?.kind !== "tool") throw new Error("no tool row");
    return row;
  };
  const end = (seq: number) =>
    event(seq, {
      type: "tool_end",
      call_id: "c1",
      name: "fs_edit",
      outcome: "ok",
      content: "done",
    });

  it("is one row, from its request to its result", () => {
    const row = tool(
      live(
        call(1),
        event(2, { type: "tool_start", call_id: "c1", name: "fs_edit" }),
        end(3),
        event(4, { type: "tool_executed", call_id: "c1", name: "fs_edit", duration_ms: 12 }),
      ),
    );

    expect(row).toMatchObject({ phase: "ended", outcome: "ok", content: "done", durationMs: 12 });
  });

  it("waits while a person must decide, and says how they decided", () => {
    expect(tool(live(call(1), asked(2))).phase).toBe("waiting");

    const decided = event(3, { type: "permission_decided", call_id: "c1", decision: "allow" });
    const row = tool(live(call(1), asked(2), decided));

    expect(row.phase).toBe("called");
    expect(row.decision?.verdict).toBe("allow");
  });

  it("whose request is on an older page is completed by that page", () => {
    const view = open(session({ last_seq: 3 }), [end(3)]);
    expect(view.rows.list[0]).toMatchObject({ kind: "tool", arguments: {} });

    const whole = fold(view, [{ kind: "older", events: [message(1), call(2)] }]);

    expect(whole.rows.list.map((row) => row.kind)).toEqual(["message", "tool"]);
    expect(whole.rows.list[1]).toMatchObject({ arguments: { a: 1 }, outcome: "ok" });
    expect(whole.first).toBe(1);
  });

  it("keeps the identity of every row it does not touch", () => {
    const view = fold(open(session(), []), live(message(1), call(2)));

    const next = fold(view, live(end(3)));

    expect(next.rows.list[0]).toBe(view.rows.list[0]);
    expect(next.rows.list[1]).not.toBe(view.rows.list[1]);
  });
});

describe("approvals", () => {
  it("come with the session and with events, and go with the decision", () => {
    const view = fold(open(session(), []), live(call(1), asked(2)));
    expect(view.approvals).toHaveLength(1);
    expect(view.approvals[0]).toMatchObject({ call_id: "c1", preview: "+1", reason: "mode ask" });

    const decided = event(3, { type: "permission_decided", call_id: "c1", decision: "deny" });

    expect(fold(view, live(decided)).approvals).toEqual([]);
  });
});

describe("the outbox", () => {
  const sending: Item = {
    kind: "sending",
    message: { messageId: "m1", picked: [], text: "hi", time: "", failed: false },
  };

  it("shows a message at once and lets go of it when its event comes", () => {
    const view = fold(open(session(), []), [sending]);
    expect(view.outbox).toHaveLength(1);

    const echoed = fold(view, live(message(1)));

    expect(echoed.outbox).toEqual([]);
    expect(echoed.rows.list).toHaveLength(1);
  });

  it("keeps what the server refused, to be sent again", () => {
    const view = fold(open(session(), []), [sending, { kind: "refused", messageId: "m1" }]);
    expect(view.outbox[0]?.failed).toBe(true);

    expect(fold(view, [sending]).outbox).toEqual([
      { messageId: "m1", picked: [], text: "hi", time: "", failed: false },
    ]);
  });

  it("says when the model has read a message", () => {
    const view = fold(open(session(), []), live(message(1)));
    expect(view.rows.list[0]).toMatchObject({ read: false });

    expect(fold(view, live(started(2, 1, ["m1"]))).rows.list[0]).toMatchObject({ read: true });
  });
});

describe("the state", () => {
  it("counts tokens on top of what the session had", () => {
    const view = open(session({ usage: { input: 10, output: 1, cached: 0, reasoning: 0 } }), []);
    const used = event(1, { type: "token_usage", step: 1, model: "m", usage: { input: 5 } });

    expect(fold(view, live(used)).usage).toMatchObject({ input: 15, output: 1 });
  });

  it("follows state, step and plan", () => {
    const todos = [{ id: "1", title: "Read" }];
    const view = fold(
      open(session(), []),
      live(
        event(1, { type: "state_changed", before: "ready", after: "working" }),
        started(2, 3),
        event(3, { type: "todo_changed", before: [], after: todos }),
      ),
    );

    expect(view).toMatchObject({ state: "working", step: 3, todos });
  });

  it("folds 20,000 events in well under a second", () => {
    const many = Array.from({ length: 20_000 }, (_, at) => text(at + 1, 1, "word"));
    const begin = performance.now();

    let view = open(session({ last_seq: 20_000 }), many.slice(-300));
    for (let end = 19_700; end > 0; end -= 300) {
      view = fold(view, [{ kind: "older", events: many.slice(Math.max(0, end - 300), end) }]);
    }

    expect(view.rows.list).toHaveLength(20_000);
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});
