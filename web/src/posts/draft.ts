/** A post while it is edited. Pure. */
import type { Limits, Permissions, Post } from "../api/types";

export type PostDraft = {
  name: string;
  description: string;
  prompt: string;
  model: string;
  tools: string[];
  permissions: Permissions;
  /** Null where the house's own limits hold. */
  limits: Limits | null;
  hosts: string[];
};

export const EMPTY_DRAFT: PostDraft = {
  name: "",
  description: "",
  prompt: "",
  model: "auto",
  tools: [],
  permissions: { mode: "ask", rules: [] },
  limits: null,
  hosts: [],
};

export const LIMIT_NAMES = [
  "steps",
  "tokens",
  "wall_seconds",
  "identical_calls",
  "parallel_tools",
  "output_tokens",
  "context_tokens",
] as const satisfies readonly (keyof Limits)[];

export function draftOf(post: Post): PostDraft {
  const { name, description, prompt, model, tools, permissions, limits, hosts } = post;
  return { name, description, prompt, model, tools, permissions, limits, hosts };
}

/** What is sent: rules without a pattern and empty hosts are lines nobody filled in. */
export function requestOf(draft: PostDraft) {
  const { limits, permissions, hosts: lines, ...rest } = draft;
  const hosts = lines.map((line) => line.trim()).filter((line) => line !== "");
  const rules = permissions.rules.filter((rule) => rule.pattern.trim() !== "");
  return { ...rest, permissions: { ...permissions, rules }, hosts, ...(limits && { limits }) };
}
