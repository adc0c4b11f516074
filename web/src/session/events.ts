/**
 * The events of a journal as they arrive. Mirrors the server's event protocol; fields with default
 * values are left out on the wire, so they are optional here. Unknown types are carried, not shown.
 */
import type { Usage, Todo as WholeTodo } from "../api/types";

/** A pending todo does not say so: fields with default values are left out. */
export type Todo = Omit<WholeTodo, "status"> & Partial<Pick<WholeTodo, "status">>;

export type Outcome = "ok" | "error" | "invalid" | "denied" | "interrupted" | "sealed";
export type SessionState = "ready" | "working" | "waiting";
export type DoneReason = "completed" | "interrupted" | "failed" | "limit";
export type JsonObject = Record<string, unknown>;

/** A picture or document beside a message or a result: all but its bytes. */
export type Attached = { digest: string; media_type: string; size: number; name?: string };

type Body =
  | {
      type: "message";
      message_id: string;
      text: string;
      sender?: string;
      alone?: boolean;
      attachments?: Attached[];
    }
  | { type: "thinking"; step: number; text: string }
  | { type: "text"; step: number; text: string }
  | {
      type: "tool_call";
      step: number;
      call_id: string;
      name: string;
      arguments: JsonObject;
      malformed?: string;
    }
  | { type: "tool_start"; call_id: string; name: string; attempt?: number }
  | {
      type: "tool_end";
      call_id: string;
      name: string;
      outcome: Outcome;
      content: string;
      diff?: string;
      attachments?: Attached[];
    }
  | { type: "done"; reason: DoneReason; turn: number; detail?: string; answer?: JsonObject }
  | {
      type: "permission_required";
      call_id: string;
      name: string;
      arguments: JsonObject;
      reason: string;
      preview?: string;
      delegated_by?: string;
    }
  | {
      type: "permission_decided";
      call_id: string;
      decision: "allow" | "deny" | "cancelled";
      note?: string;
      by?: string;
    }
  | { type: "interrupt_requested"; by?: string }
  | { type: "agent_created"; agent_id: string; post: string }
  | { type: "agent_forked"; agent_id: string; parent: string; at: number; snapshot?: string }
  | { type: "snapshot"; name: string; at: number }
  | { type: "agent_resumed"; epoch: number; sealed?: string[]; repeated?: string[] }
  | { type: "post_followed"; post: string; version?: number }
  | { type: "answer_refused"; step: number; problems: string }
  | { type: "schedule_set"; name: string; text?: string }
  | { type: "schedule_cancelled"; name: string }
  | { type: "schedule_fired"; name: string }
  | { type: "state_changed"; before: SessionState; after: SessionState }
  | { type: "step_started"; turn: number; step: number; messages?: string[] }
  | {
      type: "context_compressed";
      phase: "start" | "end";
      step: number;
      tokens: number;
      summarised: number;
      kept: number;
      summary?: string;
    }
  | { type: "step_complete"; step: number; model: string; duration_ms?: number }
  | { type: "token_usage"; step: number; model: string; usage: Usage }
  | { type: "tool_executed"; call_id: string; name: string; outcome: Outcome; duration_ms: number }
  | {
      type: "error";
      phase: string;
      severity: "warning" | "error" | "fatal";
      message: string;
      hint?: string;
      attempt?: number;
      retry_in?: number | null;
    }
  | { type: "todo_changed"; before?: Todo[]; after?: Todo[] }
  | { type: "todo_reminder"; step: number; open: number }
  | { type: "file_changed"; path: string; before: string; after?: string }
  | { type: "skill_discovered"; name: string; description: string; source: string }
  | { type: "schedule_set"; name: string; when: { kind: string }; text?: string }
  | { type: "schedule_cancelled"; name: string }
  | { type: "schedule_fired"; name: string; firing: string; due?: number; step?: number };

export type SessionEvent = { seq: number; time: string; channel: string } & Body;

export type Delta = {
  step: number;
  kind: "text" | "thinking" | "tool_call";
  text: string;
  call_id?: string;
  name?: string;
};
