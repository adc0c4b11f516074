/** One session of the scripted house: keeps its journal, streams it, and plays a turn. */
import type {
  AgentView,
  ApprovalView,
  DecisionBody,
  MomentView,
  SessionView,
  SnapshotView,
  TodoView,
} from "../../.client";
import type { SessionState } from "../../src/session/events.ts";
import * as script from "./script.ts";
import { now, type State } from "./state.ts";

type Body = { type: string; [field: string]: unknown };
type Event = Body & { seq: number; time: string; channel: string };
type Decision = Omit<DecisionBody, "decision"> & {
  decision: DecisionBody["decision"] | "cancelled";
};
type Result = { content?: string; outcome?: string; diff?: string };

const CONTROL = new Set(["permission_required", "permission_decided", "interrupt_requested"]);
const PROGRESS = new Set(["message", "thinking", "text", "tool_call", "tool_start", "tool_end"]);
const STATUS = { ready: "idle", working: "busy", waiting: "waiting" } as const;
const utf8 = new TextEncoder();

export class ScriptedSession {
  readonly id: string;
  title: string;
  readonly agent: AgentView;
  state: SessionState = "ready";
  turn = 0;
  step = 0;
  todos: TodoView[] = [];
  approvals: ApprovalView[] = [];
  usage = { input: 0, output: 0, cached: 0, reasoning: 0 };
  readonly events: Event[] = [];
  readonly created_at = now();
  delegated_by: SessionView["delegated_by"] = null;
  forked_from: SessionView["forked_from"] = null;
  readonly #house: State;
  readonly #followers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #decisions = new Map<string, (decision: Decision) => void>();
  #stopped = false;

  constructor(house: State, agent: AgentView, title: string) {
    this.#house = house;
    this.id = house.id("session");
    this.agent = agent;
    this.title = title;
    this.add({ type: "agent_created", agent_id: agent.id, post: agent.post.name });
  }

  view(): SessionView {
    const { id, title, state, turn, step, todos, approvals, usage, created_at } = this;
    const { delegated_by, forked_from } = this;
    const last_seq = this.events.length;
    const updated_at = this.events.at(-1)?.time ?? created_at;
    const agent_id = this.agent.id;
    return {
      ...{ id, agent_id, title, state, turn, step, last_seq, todos, approvals, usage },
      ...{ created_at, updated_at, delegated_by, forked_from },
    };
  }

  snapshots(): SnapshotView[] {
    return this.events
      .filter((event) => event.type === "snapshot")
      .map((event) => ({ name: String(event.name), at: Number(event.at) }));
  }

  /** How it was after this event: at rest, with no plan, which is enough to look at. */
  moment(seq: number): MomentView {
    const last = this.events[seq - 1];
    const forkable = last?.type !== "tool_start";
    const nothing = { state: "ready" as const, todos: [], usage: {}, messages: [] };
    return { seq, turn: 0, step: 0, forkable, ...nothing };
  }

  /** Writes an event and tells every follower. Returns its number. */
  add(body: Body, time = now()): number {
    const event = { seq: this.events.length + 1, time, channel: channelOf(body.type), ...body };
    this.events.push(event);
    for (const follower of this.#followers) follower.enqueue(frame(event));
    return event.seq;
  }

  /** What comes after this number, then live. */
  follow(after: number): ReadableStream<Uint8Array> {
    let me: ReadableStreamDefaultController<Uint8Array>;
    return new ReadableStream({
      start: (controller) => {
        me = controller;
        controller.enqueue(utf8.encode(": beat\n\n"));
        for (const event of this.events.slice(after)) controller.enqueue(frame(event));
        this.#followers.add(controller);
      },
      cancel: () => void this.#followers.delete(me),
    });
  }

  /** Cuts every stream, as a proxy that restarts would. */
  drop(): void {
    for (const follower of this.#followers) follower.error(new Error("cut"));
    this.#followers.clear();
  }

  /** Takes a decision; false when nobody waits for it. */
  decide(callId: string, decision: Decision): boolean {
    const take = this.#decisions.get(callId);
    this.#decisions.delete(callId);
    take?.(decision);
    return take !== undefined;
  }

  interrupt(): void {
    this.#stopped = true;
    this.add({ type: "interrupt_requested", by: "admin" });
    for (const callId of this.#decisions.keys()) this.decide(callId, { decision: "cancelled" });
  }

  /** One turn in the sample repository, with one approval. */
  async play(messageId: string, pace = this.#house.pace): Promise<void> {
    this.turn += 1;
    this.#stopped = false;
    this.#become("working");
    let step = this.#begin([messageId]);
    await this.#say(step, "thinking", script.THOUGHT, pace);
    await this.#say(step, "text", script.PLAN, pace);
    this.#plan(0);
    const failing = { content: script.FAILING, outcome: "error" };
    await this.#tool(step, "bash_run", { command: "python -m pytest -q" }, failing, 30 * pace);
    await this.#tool(step, "fs_read", { path: "calculator.py" }, { content: script.SOURCE }, pace);
    this.#end(step, 1840, 212);
    if (this.#stopped) return this.#finish("interrupted");
    step = this.#begin([]);
    this.#plan(2);
    await this.#say(step, "text", script.FINDING, pace);
    if (await this.#ask(step, "fs_edit", script.EDIT, script.CALCULATOR_DIFF)) {
      this.#house.changed.add(this.agent.id);
    }
    this.#end(step, 2411, 164);
    if (this.#stopped) return this.#finish("interrupted");
    step = this.#begin([]);
    this.#plan(3);
    const passing = { content: script.PASSING };
    await this.#tool(step, "bash_run", { command: "python -m pytest -q" }, passing, 25 * pace);
    this.#plan(4);
    await this.#say(step, "text", script.SUMMARY, pace);
    this.#end(step, 2799, 301);
    this.#finish("completed");
  }

  #delta(step: number, kind: string, text: string): void {
    const data = JSON.stringify({ step, kind, text });
    const bytes = utf8.encode(`event: delta\ndata: ${data}\n\n`);
    for (const follower of this.#followers) follower.enqueue(bytes);
  }

  #become(after: SessionState): void {
    this.add({ type: "state_changed", before: this.state, after });
    this.state = after;
    this.agent.status = STATUS[after];
  }

  #begin(messages: string[]): number {
    this.step += 1;
    this.add({ type: "step_started", turn: this.turn, step: this.step, messages });
    return this.step;
  }

  #end(step: number, input: number, output: number): void {
    const model = "demo";
    this.add({ type: "step_complete", step, model, duration_ms: 900 });
    this.add({ type: "token_usage", step, model, usage: { input, output } });
    this.usage.input += input;
    this.usage.output += output;
    this.agent.tokens.input += input;
    this.agent.tokens.output += output;
  }

  async #say(step: number, kind: "text" | "thinking", text: string, pace: number) {
    for (const piece of text.match(/.{1,7}/gs) ?? []) {
      if (this.#stopped) return;
      this.#delta(step, kind, piece);
      await wait(pace);
    }
    this.add({ type: kind, step, text });
  }

  async #tool(step: number, name: string, args: object, result: Result, ms: number) {
    const call_id = this.#house.id("call");
    this.add({ type: "tool_call", step, call_id, name, arguments: args });
    await this.#run(call_id, name, result, ms);
  }

  async #run(call_id: string, name: string, result: Result, ms: number) {
    this.add({ type: "tool_start", call_id, name });
    await wait(ms);
    this.add({ type: "tool_end", call_id, name, outcome: "ok", content: "", ...result });
    this.add({ type: "tool_executed", call_id, name, outcome: "ok", duration_ms: ms });
  }

  /** A call that waits for a person. Returns whether it ran. */
  async #ask(step: number, name: string, args: Record<string, unknown>, diff: string) {
    const call_id = this.#house.id("call");
    this.add({ type: "tool_call", step, call_id, name, arguments: args });
    const pending = { call_id, name, arguments: args, reason: "mode: ask", preview: diff };
    this.add({ type: "permission_required", ...pending });
    const { id: agent_id, name: agent_name } = this.agent;
    const origin = { agent_id, agent_name, session_id: this.id, requested_at: now() };
    this.approvals.push({ ...origin, ...pending });
    this.#become("waiting");
    const decision = await new Promise<Decision>((take) => this.#decisions.set(call_id, take));
    this.approvals = this.approvals.filter((one) => one.call_id !== call_id);
    this.add({ type: "permission_decided", call_id, by: "admin", ...decision });
    this.#become("working");
    if (decision.decision === "allow") {
      await this.#run(call_id, name, { content: "1 replacement in calculator.py", diff }, 9);
      return true;
    }
    const content = `A person denied this call. ${decision.note ?? ""}`;
    this.add({ type: "tool_end", call_id, name, outcome: "denied", content });
    return false;
  }

  #plan(done: number): void {
    const before = this.todos;
    this.todos = script.TODOS.map((todo, at) => ({
      ...todo,
      status: at < done ? "completed" : at === done ? "in_progress" : "pending",
    }));
    this.add({ type: "todo_changed", before, after: this.todos });
  }

  #finish(reason: string): void {
    this.add({ type: "done", turn: this.turn, reason });
    this.#become("ready");
  }
}

function channelOf(type: string): string {
  if (CONTROL.has(type)) return "control";
  return PROGRESS.has(type) || type === "done" ? "progress" : "monitor";
}

function frame(event: Event): Uint8Array {
  return utf8.encode(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

function wait(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}
