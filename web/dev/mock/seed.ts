/** Fills a house with what is worth looking at: a long conversation, and one that waits. */
import { addMember } from "./members.ts";
import type { ScriptedSession } from "./session.ts";
import type { State } from "./state.ts";
import { addTenant } from "./tenants.ts";

export function seed(house: State): void {
  const engineer = house.addPost("Engineer", "Changes code; asks before it writes or runs.");
  const readers = house.tools.filter((tool) => tool.reads_only);
  const reader = house.addPost("Reader", "Answers questions about code.", "read_only", readers);
  house.addAgent("Night reader", reader);
  addGallery(house);
  addMarathon(house, 20_000);
  const ada = house.addSession(house.addAgent("Ada", engineer, "sample"), "Make the test pass");
  const text = "Make the failing test pass.";
  ada.add({ type: "message", message_id: "seed", text, sender: "admin" });
  void ada.play("seed", 1);
  addHistory(house);
  addTenant(house, "default").description = "Everybody in this house.";
  addTenant(house, "Acme").status = "suspended";
  addMember(house, "admin", "owner");
  addMember(house, "grace", "admin");
  addMember(house, "zhang.wei", "member").display_name = "张伟";
  addMember(house, "edsger", "viewer").active = false;
}

/** What the audit tells of the days before. */
function addHistory(house: State): void {
  const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
  const digest = "9f2c41d7e0aa5b3c".repeat(4);
  house.addAuditEntry("tenant.created", "tenant_1", { at: ago(200), after_digest: digest });
  house.addAuditEntry("login.created", "login_7", { at: ago(50) });
  const anonymous = { kind: "anonymous" as const, id: null, address: "203.0.113.9" };
  house.addAuditEntry("login.created", "admin", {
    at: ago(49),
    actor: { ...anonymous, request_id: "req_9" },
    outcome: "refused",
    reason: "wrong-credentials",
  });
  const changed = { before_digest: digest, after_digest: digest.replace(/9/g, "3") };
  for (const agent of house.agents) house.addAuditEntry("agent.created", agent.id, { at: ago(5) });
  house.addAuditEntry("agent.changed", house.agents[0]?.id ?? "", { at: ago(1), ...changed });
}

/** An agent with a conversation that holds every kind of row. */
export function addGallery(house: State): ScriptedSession {
  const post = house.posts[0] ?? house.addPost("Engineer");
  const session = house.addSession(house.addAgent("Gallery", post), "Everything there is");
  const started = { type: "step_started", turn: 1, step: 1, messages: ["g1"] };
  session.add({ type: "message", message_id: "g1", text: "Show me everything.", sender: "Ada" });
  session.add(started);
  session.add({ type: "thinking", step: 1, text: "What is there to show?\nLet me think." });
  session.add({ type: "skill_discovered", name: "release", description: "How **we** release." });
  session.add({ type: "schedule_set", name: "nightly", when: { kind: "every" }, text: "Look." });
  for (const outcome of ["ok", "error", "invalid", "denied", "interrupted", "sealed"]) {
    const one = { name: "fs_read", call_id: `g-${outcome}` };
    session.add({ type: "tool_call", step: 1, ...one, arguments: { path: `${outcome}.py` } });
    session.add({ type: "tool_end", ...one, outcome, content: "1 line" });
  }
  addErrand(house, session);
  session.add({ type: "file_changed", path: "calculator.py", before: "a", after: "b" });
  session.add({ type: "file_changed", path: "notes.md", before: "a" });
  const message = "The model did not answer.";
  session.add({ type: "error", phase: "model", severity: "warning", message, retry_in: 2.5 });
  session.add({ type: "answer_refused", step: 1, problems: "`total` is missing." });
  session.add({ type: "done", reason: "completed", turn: 1, answer: { total: 3, names: ["a"] } });
  session.add({ type: "snapshot", name: "before-refactor", at: session.events.length });
  session.add({ type: "post_followed", post: post.name, version: 2, digest: "d" });
  const summary = "They spoke about **everything**.";
  const compressed = { type: "context_compressed", step: 2, tokens: 9_000, summarised: 4, kept: 2 };
  session.add({ ...compressed, phase: "start" });
  session.add({ ...compressed, phase: "end", summary });
  session.add({ type: "agent_resumed", epoch: 2, sealed: ["g-sealed"], repeated: ["g-ok"] });
  session.add({ type: "interrupt_requested", by: "Ada" });
  session.add({ type: "done", reason: "limit", turn: 2, detail: "50 steps are enough." });
  session.add({ type: "schedule_fired", name: "nightly", due: 0, firing: "f" });
  session.add({ type: "agent_forked", agent_id: "a", parent: "b", at: 3, snapshot: "before" });
  return session;
}

/** A call that sends out a sub-agent, which asks for something. */
function addErrand(house: State, session: ScriptedSession): void {
  const call = { call_id: "g-errand", name: "task_run" };
  const prompt = "Find out what the tests say.";
  session.add({ type: "tool_call", step: 1, ...call, arguments: { post: "Reader", prompt } });
  session.add({ type: "tool_start", ...call });
  const reason = "sub-agent of post Reader: mode: ask";
  const command = "python -m pytest -q";
  const asked = { call_id: "g-errand/c1", name: "bash_run", arguments: { command }, reason };
  session.add({ type: "permission_required", ...asked, delegated_by: call.call_id });
  const sub = house.addSubAgent(session, call.call_id, "Reader");
  sub.add({ type: "message", message_id: call.call_id, text: prompt, sender: "" });
  sub.add({ type: "step_started", turn: 1, step: 1, messages: [call.call_id] });
  sub.add({ type: "text", step: 1, text: "I will **run** them." });
  sub.add({ type: "tool_call", step: 1, call_id: "c1", name: "bash_run", arguments: { command } });
  const own = { call_id: "c1", name: "bash_run", arguments: { command }, reason: "mode: ask" };
  sub.add({ type: "permission_required", ...own });
  sub.state = "waiting";
}

/** An agent with a conversation of this many events. */
export function addMarathon(house: State, events: number): void {
  const post = house.posts[0] ?? house.addPost("Engineer");
  const session = house.addSession(house.addAgent("Marathon", post, "/srv/git/shop"), "Marathon");
  session.turn = 1;
  for (let at = 0; session.events.length < events; at += 1) {
    const step = at + 1;
    const call_id = `long${at}`;
    const call = { call_id, name: "fs_read" };
    const message_id = `l${at}`;
    const words = "words and more words ".repeat(at % 13);
    const content = "x = 1\n".repeat(at % 40);
    session.add({ type: "message", message_id, text: `Question ${at}`, sender: "admin" });
    session.add({ type: "step_started", turn: step, step, messages: [message_id] });
    session.add({ type: "text", step, text: `Answer **${at}**: ${words}` });
    session.add({ type: "tool_call", step, ...call, arguments: { path: `f${at}.py` } });
    session.add({ type: "step_complete", step, model: "demo" });
    session.add({ type: "tool_start", ...call });
    session.add({ type: "tool_end", ...call, outcome: "ok", content });
    session.add({ type: "tool_executed", ...call, outcome: "ok", duration_ms: 3 });
    session.add({ type: "done", turn: step, reason: "completed" });
  }
  session.usage = { input: 1_840_231, output: 94_022, cached: 1_200_000, reasoning: 0 };
  session.agent.tokens = { input: 1_840_231, output: 94_022 };
}
