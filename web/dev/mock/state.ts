/** What the scripted house knows: rows as the API shows them, and how to make more of them. */
import type {
  AgentView,
  AttachmentBody,
  AuditEntryView,
  Health,
  MemberView,
  ModelView,
  PostView,
  TenantDetails,
  TenantView,
  ToolView,
  UserView,
} from "../../.client";
import type { Attached } from "../../src/session/events.ts";
import { WELL } from "./server.ts";
import { ScriptedSession } from "./session.ts";

type Mode = "ask" | "auto" | "read_only";

export const PASSWORD = "longhouse-demo";

const TOOLS: readonly [string, string, boolean][] = [
  ["fs_read", "Read a file of the workspace.", true],
  ["fs_glob", "Find files by pattern.", true],
  ["fs_grep", "Search in files.", true],
  ["fs_write", "Write a whole file.", false],
  ["fs_edit", "Replace text in a file.", false],
  ["bash_run", "Run a command in the sandbox.", false],
  ["todo_read", "Read the plan.", true],
  ["todo_write", "Write the plan.", true],
];

const LIMITS = {
  steps: 50,
  tokens: 500_000,
  wall_seconds: 3600,
  identical_calls: 5,
  parallel_tools: 4,
  output_tokens: 8000,
  context_tokens: 200_000,
};

export class State {
  /** Milliseconds between two pieces of an answer. */
  pace: number;
  setupNeeded = false;
  /** Whether a refresh works without a cookie: scripts cannot set one. */
  signedIn = false;
  posts: PostView[] = [];
  agents: AgentView[] = [];
  sessions: ScriptedSession[] = [];
  audit: AuditEntryView[] = [];
  members: MemberView[] = [];
  organisations: TenantDetails[] = [];
  /** Bytes by their digest. */
  readonly attachments = new Map<string, { bytes: Uint8Array<ArrayBuffer>; mediaType: string }>();
  /** Agents whose workspace holds changes. */
  readonly changed = new Set<string>();
  readonly tools: ToolView[] = TOOLS.map(([name, description, reads_only]) => ({
    ...{ name, description, reads_only },
    schema: {},
  }));
  readonly models: ModelView[] = [
    { name: "demo", available: true, reason: "Scripted; needs no key." },
    { name: "anthropic:claude-sonnet-4-5", available: false, reason: "No key is set." },
  ];
  readonly user: UserView = {
    id: "user_1",
    username: "admin",
    email: "admin@example.org",
    display_name: "Ada Lovelace",
    role: "admin",
    active: true,
    created_at: now(),
  };
  health: Health = WELL;
  tenants: TenantView[] = [{ id: "tenant_1", name: "default", role: "owner" }];
  #counter = 0;

  constructor(pace: number) {
    this.pace = pace;
  }

  /** An id of this kind that no other has. */
  id = (kind: string): string => `${kind}_${String(++this.#counter).padStart(6, "0")}`;

  addPost(name: string, description = "", mode: Mode = "ask", tools = this.tools): PostView {
    const post: PostView = {
      id: this.id("post"),
      name,
      description,
      prompt: `You are the ${name.toLowerCase()} of this house. Say what you do.`,
      model: "auto",
      tools: tools.map((tool) => tool.name),
      permissions: { mode, rules: [] },
      limits: LIMITS,
      hosts: [],
      version: 1,
      created_at: now(),
      updated_at: now(),
    };
    this.posts.push(post);
    return post;
  }

  addAgent(name: string, post: PostView, source: string | null = null): AgentView {
    const branch = `longhouse/${name.toLowerCase().replace(/\W+/g, "-")}`;
    const agent: AgentView = {
      id: this.id("agent"),
      name,
      post: { id: post.id, name: post.name, version: post.version },
      model: post.model ?? "auto",
      overrides: {},
      repository: source === null ? null : { source, ref: "main", branch },
      status: "idle",
      current_session_id: null,
      tokens: { input: 0, output: 0 },
      created_at: now(),
      updated_at: now(),
    };
    this.agents.unshift(agent);
    return agent;
  }

  addSession(agent: AgentView, title = ""): ScriptedSession {
    const session = new ScriptedSession(this, agent, title);
    this.sessions.unshift(session);
    agent.current_session_id = session.id;
    return session;
  }

  /** Keeps an attachment; what an event says of it. */
  keep({ name, media_type = "", data }: AttachmentBody): Attached {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const digest = this.id("digest");
    this.attachments.set(digest, { bytes, mediaType: media_type });
    return { digest, media_type, size: bytes.length, name };
  }

  /** What somebody did, as the audit tells it; the newest is the first. */
  addAuditEntry(action: string, target: string, part: Partial<AuditEntryView> = {}): void {
    const actor = { kind: "user" as const, id: this.user.id, address: "127.0.0.1" };
    this.audit.unshift({
      id: this.id("audit"),
      at: now(),
      tenant_id: this.tenants[0]?.id ?? null,
      actor: { ...actor, request_id: this.id("req") },
      action,
      target,
      outcome: "done",
      reason: null,
      before_digest: null,
      after_digest: null,
      ...part,
    });
  }

  /** A session that shares its events up to this one. */
  addFork(parent: ScriptedSession, at: number): ScriptedSession {
    const fork = this.addSession(parent.agent, parent.title);
    fork.forked_from = { session_id: parent.id, after: at };
    fork.events.splice(0, fork.events.length, ...parent.events.slice(0, at));
    fork.add({ type: "agent_forked", agent_id: fork.id, parent: parent.id, at });
    return fork;
  }

  /** The session of the sub-agent that a call sends out. */
  addSubAgent(parent: ScriptedSession, call_id: string, post: string): ScriptedSession {
    const session = new ScriptedSession(this, parent.agent, "");
    session.delegated_by = { session_id: parent.id, call_id, post };
    this.sessions.push(session);
    return session;
  }
}

export function now(): string {
  return new Date().toISOString();
}
