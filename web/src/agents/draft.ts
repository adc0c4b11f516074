/** An agent's settings while they are edited: what is its own, and what follows its post. Pure. */
import type { Agent, AgentPatch, Permissions, Post } from "../api/types";

export type AgentDraft = {
  name: string;
  postId: string;
  /** Null where the post's model holds. */
  model: string | null;
  /** Null where the post's permissions hold. */
  permissions: Permissions | null;
};

export function draftOf(agent: Agent): AgentDraft {
  const { model, permissions } = agent.overrides;
  return {
    name: agent.name,
    postId: agent.post.id,
    model: model ?? null,
    permissions: permissions ? wholePermissions(permissions) : null,
  };
}

/** What is sent: only what differs. Overrides travel together, since they replace each other. */
export function changesOf(before: AgentDraft, after: AgentDraft): AgentPatch {
  const name = after.name.trim();
  const model = after.model?.trim() || null;
  const permissions = after.permissions && wholePermissions(after.permissions);
  const overridden = !same([before.model, before.permissions], [model, permissions]);
  return {
    ...(name !== before.name && { name }),
    ...(after.postId !== before.postId && { post_id: after.postId }),
    ...(overridden && {
      overrides: { ...(model && { model }), ...(permissions && { permissions }) },
    }),
  };
}

/** The overrides with one rule more; where the agent had no rules of its own, its post's come too. */
export function withRule(
  agent: Agent,
  post: Post,
  rule: Permissions["rules"][number],
): Agent["overrides"] {
  const { mode, rules } = draftOf(agent).permissions ?? post.permissions;
  const known = rules.some((one) => one.verdict === rule.verdict && one.pattern === rule.pattern);
  return { ...agent.overrides, permissions: { mode, rules: known ? rules : [...rules, rule] } };
}

/** Rules nobody filled in are left out. */
function wholePermissions(permissions: NonNullable<Agent["overrides"]["permissions"]>) {
  const { mode = "ask", rules = [] } = permissions;
  return { mode, rules: rules.filter((rule) => rule.pattern.trim() !== "") };
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
