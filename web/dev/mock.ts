/**
 * A scripted server for work on the console alone (`npm run dev:mock`). It answers the routes of
 * openapi.json from memory and plays one turn of `script.ts` for every message. Sign in as
 * `admin` / `longhouse-demo`; the one-time link is /setup#token=mock after POST /__mock/reset.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connect, Plugin } from "vite";
import * as script from "./script";

type Json = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: a mock's rows are whatever the script says
type Loose = any;

const PASSWORD = "longhouse-demo";
const CHANNEL: Record<string, string> = {
  permission_required: "control",
  permission_decided: "control",
  interrupt_requested: "control",
  agent_created: "monitor",
  agent_resumed: "monitor",
  state_changed: "monitor",
  step_started: "monitor",
  step_complete: "monitor",
  token_usage: "monitor",
  tool_executed: "monitor",
  error: "monitor",
  todo_changed: "monitor",
};

let setupNeeded = false;
let counter = 0;
const id = (kind: string) => `${kind}_${String(++counter).padStart(6, "0")}`;
const now = () => new Date().toISOString();
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Session {
  id = id("session");
  title: string;
  agent: Loose;
  state = "ready";
  turn = 0;
  step = 0;
  todos: Loose[] = [];
  approvals: Loose[] = [];
  usage = { input: 0, output: 0, cached: 0, reasoning: 0 };
  events: Loose[] = [];
  followers = new Set<ServerResponse>();
  decisions = new Map<string, (decision: Loose) => void>();
  created_at = now();
  stopped = false;

  constructor(agent: Loose, title: string) {
    this.agent = agent;
    this.title = title;
    this.add({ type: "agent_created", agent_id: agent.id, post: agent.post.name });
  }

  add(body: Json, time = now()) {
    const channel = CHANNEL[String(body.type)] ?? "progress";
    const event = { seq: this.events.length + 1, time, channel, ...body };
    this.events.push(event);
    for (const response of this.followers) writeEvent(response, event);
    return event.seq;
  }

  delta(step: number, kind: string, text: string, more: Json = {}) {
    const data = JSON.stringify({ step, kind, text, ...more });
    for (const response of this.followers) response.write(`event: delta\ndata: ${data}\n\n`);
  }

  setState(after: string) {
    this.add({ type: "state_changed", before: this.state, after });
    this.state = after;
    this.agent.status = { ready: "idle", working: "busy", waiting: "waiting" }[after];
  }

  view() {
    const { id, title, state, turn, step, todos, approvals, usage, created_at } = this;
    const last_seq = this.events.length;
    const updated_at = this.events.at(-1)?.time ?? created_at;
    const agent_id = this.agent.id;
    return {
      ...{ id, agent_id, title, state, turn, step, last_seq, todos, approvals, usage },
      ...{ created_at, updated_at },
    };
  }

  async say(step: number, kind: "text" | "thinking", text: string, pace: number) {
    for (const piece of text.match(/.{1,7}/gs) ?? []) {
      if (this.stopped) return;
      this.delta(step, kind, piece);
      await wait(pace);
    }
    this.add({ type: kind, step, text });
  }

  end(step: number, input: number, output: number, finish = "tool_calls") {
    const model = "demo";
    this.add({ type: "step_complete", step, model, finish, duration_ms: 900 });
    this.add({ type: "token_usage", step, model, usage: { input, output } });
    this.usage.input += input;
    this.usage.output += output;
    this.agent.tokens.input += input;
    this.agent.tokens.output += output;
  }

  async tool(step: number, name: string, args: Json, result: Json, ms: number, ask = "") {
    const call_id = id("call");
    this.add({ type: "tool_call", step, call_id, name, arguments: args });
    if (ask) {
      const preview = String(result.diff ?? "");
      const pending = { call_id, name, arguments: args, reason: ask, preview };
      this.add({ type: "permission_required", ...pending });
      const { id: agent_id, name: agent_name } = this.agent;
      this.approvals.push({
        ...{ agent_id, agent_name, session_id: this.id, requested_at: now() },
        ...pending,
      });
      this.setState("waiting");
      const decision = await new Promise<Loose>((resolve) => this.decisions.set(call_id, resolve));
      this.approvals = this.approvals.filter((one) => one.call_id !== call_id);
      this.add({ type: "permission_decided", call_id, by: "admin", ...decision });
      this.setState("working");
      if (decision.decision !== "allow") {
        const content = `A person denied this call. ${decision.note ?? ""}`;
        this.add({ type: "tool_end", call_id, name, outcome: "denied", content });
        return false;
      }
    }
    this.add({ type: "tool_start", call_id, name });
    await wait(ms);
    this.add({ type: "tool_end", call_id, name, outcome: "ok", content: "", ...result });
    this.add({ type: "tool_executed", call_id, name, outcome: "ok", duration_ms: ms });
    return true;
  }

  plan(done: number) {
    const after = script.TODOS.map((todo, at) => ({
      ...todo,
      ...(at < done ? { status: "completed" } : at === done ? { status: "in_progress" } : {}),
    }));
    this.add({ type: "todo_changed", before: this.todos, after });
    this.todos = after;
  }

  begin(messages: string[]) {
    this.step += 1;
    this.add({ type: "step_started", turn: this.turn, step: this.step, messages });
    return this.step;
  }

  async play(messageId: string, pace = 18) {
    this.turn += 1;
    this.stopped = false;
    this.setState("working");
    let step = this.begin([messageId]);
    await this.say(step, "thinking", script.THOUGHT, pace);
    await this.say(step, "text", script.PLAN, pace);
    this.plan(0);
    const failing = { content: script.FAILING, outcome: "error" };
    await this.tool(step, "bash_run", { command: "python -m pytest -q" }, failing, 30 * pace);
    await this.tool(step, "fs_read", { path: "calculator.py" }, { content: script.SOURCE }, 12);
    this.end(step, 1840, 212);
    if (this.stopped) return this.finish("interrupted");
    step = this.begin([]);
    this.plan(2);
    await this.say(step, "text", script.FINDING, pace);
    const args = {
      path: "calculator.py",
      old: "    return dividend // divisor",
      new: '    if divisor == 0:\n        raise ZeroDivisionError("the divisor is zero")\n    return dividend / divisor',
    };
    const edit = { content: "1 replacement in calculator.py", diff: script.CALCULATOR_DIFF };
    const allowed = await this.tool(step, "fs_edit", args, edit, 9, "The post's mode asks first.");
    this.agent.changed = allowed || this.agent.changed;
    this.end(step, 2411, 164);
    if (this.stopped) return this.finish("interrupted");
    step = this.begin([]);
    this.plan(3);
    const passing = { content: script.PASSING };
    await this.tool(step, "bash_run", { command: "python -m pytest -q" }, passing, 25 * pace);
    this.plan(4);
    await this.say(step, "text", script.SUMMARY, pace);
    this.end(step, 2799, 301, "stop");
    return this.finish("completed");
  }

  finish(reason: string) {
    this.add({ type: "done", turn: this.turn, reason });
    this.setState("ready");
  }
}

function writeEvent(response: ServerResponse, event: Loose) {
  response.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

const TOOLS = [
  ["fs_read", "Read a file of the workspace.", true],
  ["fs_glob", "Find files by pattern.", true],
  ["fs_grep", "Search in files.", true],
  ["fs_write", "Write a whole file.", false],
  ["fs_edit", "Replace text in a file.", false],
  ["bash_run", "Run a command in the sandbox.", false],
  ["todo_read", "Read the plan.", true],
  ["todo_write", "Write the plan.", true],
].map(([name, description, reads_only]) => ({ name, description, reads_only, schema: {} }));

const LIMITS = {
  steps: 50,
  tokens: 500_000,
  wall_seconds: 3600,
  identical_calls: 5,
  parallel_tools: 4,
  output_tokens: 8000,
};
const post = (name: string, description: string, mode: string, tools: Loose[]) => ({
  id: id("post"),
  name,
  description,
  prompt: `You are the ${name.toLowerCase()} of this house. Work in small steps and say what you do.`,
  model: "auto",
  tools,
  permissions: { mode, rules: [{ verdict: "deny", pattern: "bash_run(rm -rf *)" }] },
  limits: LIMITS,
  version: 1,
  created_at: now(),
  updated_at: now(),
});
let posts: Loose[] = [];
let agents: Loose[] = [];
let sessions: Session[] = [];

function makeAgent(name: string, chosen: Loose, source: string | null) {
  const agent = {
    id: id("agent"),
    name,
    post: { id: chosen.id, name: chosen.name, version: chosen.version },
    model: "demo",
    overrides: {},
    repository: source
      ? { source, ref: "main", branch: `longhouse/${name.toLowerCase().replace(/\W+/g, "-")}` }
      : null,
    status: "idle",
    current_session_id: null as string | null,
    tokens: { input: 0, output: 0 },
    created_at: now(),
    updated_at: now(),
  };
  agents.unshift(agent);
  return agent;
}

function makeSession(agent: Loose, title: string) {
  const session = new Session(agent, title);
  sessions.unshift(session);
  agent.current_session_id = session.id;
  return session;
}

function seed() {
  posts = [
    post("Engineer", "Changes code; asks before it writes or runs anything.", "ask", [
      ...TOOLS.map((tool) => tool.name),
    ]),
    post("Reader", "Answers questions about code. Cannot change anything.", "read_only", [
      ...TOOLS.filter((tool) => tool.reads_only).map((tool) => tool.name),
    ]),
  ];
  agents = [];
  sessions = [];
  makeAgent("Night reader", posts[1], null);
  const long = makeSession(makeAgent("Marathon", posts[0], "/srv/git/shop"), "Twenty thousand");
  long.turn = 1;
  for (let at = 0; long.events.length < 20_000; at += 1) {
    const step = at + 1;
    const call_id = `long${at}`;
    long.add({ type: "message", message_id: `l${at}`, text: `Question ${at}`, sender: "admin" });
    long.add({ type: "step_started", turn: step, step, messages: [`l${at}`] });
    long.add({
      type: "text",
      step,
      text: `Answer **${at}**: ${"words and more words ".repeat(at % 13)}`,
    });
    long.add({
      type: "tool_call",
      step,
      call_id,
      name: "fs_read",
      arguments: { path: `f${at}.py` },
    });
    long.add({ type: "step_complete", step, model: "demo" });
    long.add({ type: "tool_start", call_id, name: "fs_read" });
    long.add({
      type: "tool_end",
      call_id,
      name: "fs_read",
      outcome: "ok",
      content: "x = 1\n".repeat(at % 40),
    });
    long.add({ type: "tool_executed", call_id, name: "fs_read", outcome: "ok", duration_ms: 3 });
    long.add({ type: "done", turn: step, reason: "completed" });
  }
  long.usage = { input: 1_840_231, output: 94_022, cached: 1_200_000, reasoning: 0 };
  (long.agent as Loose).tokens = { input: 1_840_231, output: 94_022 };
  const busy = makeSession(makeAgent("Ada", posts[0], "sample"), "Make the failing test pass");
  busy.add({
    type: "message",
    message_id: "seed",
    text: "Make the failing test pass.",
    sender: "admin",
  });
  void busy.play("seed", 1);
}

const MOCK_DIFF = () => ({
  base: "main",
  branch: "longhouse/ada",
  files: [
    { path: "calculator.py", status: "modified", additions: 3, deletions: 1 },
    { path: "docs/division.md", status: "added", additions: 2, deletions: 0 },
  ],
  patch: `${script.CALCULATOR_DIFF}diff --git a/docs/division.md b/docs/division.md
new file mode 100644
--- /dev/null
+++ b/docs/division.md
@@ -0,0 +1,2 @@
+# Division
+True division everywhere; a divisor of zero raises.
`,
});

class Refused extends Error {
  readonly status: number;
  readonly body: Json;
  constructor(status: number, code: string, detail: string, more: Json = {}) {
    super(detail);
    this.status = status;
    this.body = { type: `urn:longhouse:problem:${code}`, title: code, status, detail, ...more };
  }
}

const missing = () => new Refused(404, "not-found", "There is nothing here with this id.");
const find = <T extends { id: string }>(list: T[], wanted: string | undefined): T => {
  const found = list.find((one) => one.id === wanted);
  if (!found) throw missing();
  return found;
};

const USER = {
  id: "user_1",
  username: "admin",
  email: "admin@example.org",
  display_name: "Ada Lovelace",
  role: "admin",
  active: true,
  created_at: now(),
};
const TENANTS = [{ id: "tenant_1", name: "default", role: "owner" }];
const grant = (response: ServerResponse) => {
  response.setHeader(
    "Set-Cookie",
    "longhouse_refresh=1; HttpOnly; SameSite=Strict; Path=/api/v1/auth",
  );
  return {
    access_token: `mock-${Date.now()}`,
    token_type: "bearer",
    expires_in: 900,
    refresh_token: "mock",
    user: USER,
    tenants: TENANTS,
  };
};

type Call = { query: URLSearchParams; body: Loose; path: string[]; response: ServerResponse };
type Answer = { status?: number; body?: unknown } | null;

async function route(method: string, path: string[], call: Call): Promise<Answer> {
  const at = `${method} ${path.map((part, index) => (index % 2 ? "*" : part)).join("/")}`;
  const agent = () => find(agents, path[1]);
  const session = () => find(sessions, path[3]);
  switch (at) {
    case "GET setup":
      return { body: { needed: setupNeeded } };
    case "POST setup":
      if (call.body.token !== "mock")
        throw new Refused(403, "bad-token", "This one-time link is not valid any more.", {
          hint: "Restart the server to get a new one.",
        });
      setupNeeded = false;
      return { status: 201, body: grant(call.response) };
    case "GET posts":
      return { body: { items: posts, next: null } };
    case "POST posts": {
      const made = { ...post("", "", "ask", []), ...call.body, id: id("post") };
      posts.push(made);
      return { status: 201, body: made };
    }
    case "GET posts/*":
      return { body: find(posts, path[1]) };
    case "PATCH posts/*": {
      const found = find(posts, path[1]);
      if (call.body.name === "")
        throw new Refused(422, "invalid", "A field is not valid.", {
          errors: [{ field: "name", message: "A post needs a name." }],
        });
      Object.assign(found, call.body, { version: found.version + 1, updated_at: now() });
      return { body: found };
    }
    case "DELETE posts/*":
      posts = posts.filter((one) => one.id !== path[1]);
      return { status: 204 };
    case "GET tools":
      return { body: { items: TOOLS } };
    case "GET models":
      return {
        body: {
          default: "demo",
          items: [
            { name: "demo", available: true, reason: "Scripted; needs no key." },
            { name: "anthropic:claude-sonnet-4-5", available: false, reason: "No key is set." },
          ],
        },
      };
    case "GET agents": {
      const search = (call.query.get("search") ?? "").toLowerCase();
      const status = call.query.get("status");
      const items = agents.filter(
        (one) => (!status || one.status === status) && one.name.toLowerCase().includes(search),
      );
      return { body: { items, next: null } };
    }
    case "POST agents": {
      const source = call.body.repository?.source ?? null;
      if (source === "/nowhere")
        throw new Refused(422, "invalid", "The repository cannot be used.", {
          hint: "Name a folder that holds a git repository, or an https address.",
          errors: [{ field: "repository.source", message: "/nowhere is not a git repository." }],
        });
      await wait(600);
      return {
        status: 201,
        body: makeAgent(call.body.name, find(posts, call.body.post_id), source),
      };
    }
    case "GET agents/*":
      return { body: agent() };
    case "PATCH agents/*":
      return { body: Object.assign(agent(), call.body) };
    case "DELETE agents/*":
      agents = agents.filter((one) => one.id !== path[1]);
      return { status: 204 };
    case "GET agents/*/workspace/*": {
      if (call.query.get("format") === "patch") {
        call.response.setHeader("Content-Type", "text/x-diff");
        call.response.end(MOCK_DIFF().patch);
        return null;
      }
      const diff = agent().changed ? MOCK_DIFF() : { ...MOCK_DIFF(), files: [], patch: "" };
      return { body: diff };
    }
    case "POST agents/*/workspace/*":
      return { status: 201, body: { branch: call.body.branch, commit: "3f1c9ad2", files: 2 } };
    case "GET agents/*/sessions": {
      const items = sessions.filter((one) => one.agent.id === path[1]).map((one) => one.view());
      return { body: { items, next: null } };
    }
    case "POST agents/*/sessions":
      return { status: 201, body: makeSession(agent(), call.body?.title ?? "").view() };
    case "GET agents/*/sessions/*":
      return { body: session().view() };
    case "POST agents/*/sessions/*/messages": {
      const { text, message_id = id("message") } = call.body;
      const found = session();
      found.title ||= text.slice(0, 60);
      const seq = found.add({ type: "message", message_id, text, sender: "admin" });
      if (found.state === "ready") void found.play(message_id);
      return { status: 202, body: { status: "queued", message_id, seq } };
    }
    case "GET agents/*/sessions/*/events": {
      const { events } = session();
      const limit = Number(call.query.get("limit") ?? 500);
      const before = call.query.get("before");
      const after = Number(call.query.get("after") ?? 0);
      const items = before
        ? events.slice(Math.max(0, Number(before) - 1 - limit), Number(before) - 1)
        : events.slice(after, after + limit);
      return { body: { items, next: null } };
    }
    case "POST agents/*/sessions/*/interrupt": {
      const found = session();
      found.stopped = true;
      found.add({ type: "interrupt_requested", by: "admin" });
      for (const decide of found.decisions.values()) decide({ decision: "cancelled" });
      return { status: 202, body: {} };
    }
    case "POST agents/*/sessions/*/approvals/*": {
      const decide = session().decisions.get(path[5] ?? "");
      if (!decide) throw new Refused(409, "already-decided", "Somebody has decided this call.");
      session().decisions.delete(path[5] ?? "");
      decide(call.body);
      return { status: 204 };
    }
    case "GET approvals":
      return { body: { items: sessions.flatMap((one) => one.approvals) } };
    default:
      throw missing();
  }
}

async function auth(method: string, path: string[], request: IncomingMessage, call: Call) {
  const what = `${method} ${path.join("/")}`;
  if (what === "POST auth/login") {
    if (call.body.password !== PASSWORD)
      throw new Refused(401, "wrong-credentials", "User name or password is wrong.", {
        hint: "Names and passwords are case sensitive.",
      });
    return { body: grant(call.response) };
  }
  if (what === "POST auth/refresh") {
    if (!request.headers.cookie?.includes("longhouse_refresh=1"))
      throw new Refused(401, "signed-out", "Nobody is signed in.");
    return { body: grant(call.response) };
  }
  if (what === "POST auth/logout") {
    call.response.setHeader("Set-Cookie", "longhouse_refresh=; Max-Age=0; Path=/api/v1/auth");
    return { status: 204 };
  }
  return { body: { user: USER, tenant: TENANTS[0], tenants: TENANTS } };
}

function stream(session: Session, request: IncomingMessage, response: ServerResponse) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": beat\n\n");
  const last = Number(request.headers["last-event-id"] ?? 0);
  for (const event of session.events.slice(last)) writeEvent(response, event);
  session.followers.add(response);
  const beat = setInterval(() => response.write(": beat\n\n"), 15_000);
  request.on("close", () => {
    clearInterval(beat);
    session.followers.delete(response);
  });
}

async function readBody(request: IncomingMessage): Promise<Loose> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

function control(what: string) {
  if (what === "reset") {
    setupNeeded = true;
    seed();
  }
  if (what === "drop")
    for (const session of sessions) for (const response of session.followers) response.destroy();
}

const answer: Connect.NextHandleFunction = async (request, response, next) => {
  const url = new URL(request.url ?? "/", "http://mock");
  if (url.pathname.startsWith("/__mock/")) {
    control(url.pathname.slice("/__mock/".length));
    response.end("ok");
    return;
  }
  if (!url.pathname.startsWith("/api/v1/")) return next();
  const path = url.pathname.slice("/api/v1/".length).split("/");
  const method = request.method ?? "GET";
  const requestId = id("req");
  response.setHeader("X-Request-Id", requestId);
  try {
    if (path[4] === "stream") return stream(find(sessions, path[3]), request, response);
    const call: Call = { query: url.searchParams, body: await readBody(request), path, response };
    const result =
      path[0] === "auth"
        ? await auth(method, path, request, call)
        : await route(method, path, call);
    if (!result) return;
    response.statusCode = result.status ?? 200;
    if (result.body === undefined) return response.end();
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(result.body));
  } catch (error) {
    const refused = error instanceof Refused ? error : new Refused(500, "broken", String(error));
    response.statusCode = refused.status;
    response.setHeader("Content-Type", "application/problem+json");
    response.end(JSON.stringify({ ...refused.body, request_id: requestId }));
  }
};

export function mockServer(): Plugin {
  seed();
  return {
    name: "mock-server",
    configureServer: (server) => void server.middlewares.use(answer),
    configurePreviewServer: (server) => void server.middlewares.use(answer),
  };
}
