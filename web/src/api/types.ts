/** The API's own shapes, under the names the console uses. Made from openapi.json. */
import type {
  LimitsView,
  LoginResponse,
  PermissionsView,
  PostView,
  TodoStatus,
} from "../../.client";

export type {
  AgentPatch,
  AgentView as Agent,
  ApprovalView as Approval,
  AuditEntryView as AuditEntry,
  DiffView as WorkspaceDiff,
  Health,
  MemberView as Member,
  SessionView as Session,
  TenantDetails as Tenant,
  TenantRole,
  TenantView as TenantRef,
  TodoView as Todo,
  UserView as User,
} from "../../.client";

export type Tokens = LoginResponse;
export type Limits = Required<LimitsView>;
export type Permissions = Required<PermissionsView>;
export type Post = Required<PostView> & { permissions: Permissions; limits: Limits };
export type { TodoStatus };

/** Tokens of one model call; in events, zeros are left out. */
export type Usage = { input?: number; output?: number; cached?: number; reasoning?: number };

export function wholeUsage(usage: Usage): Required<Usage> {
  return { input: 0, output: 0, cached: 0, reasoning: 0, ...usage };
}

/** A post as it was read: one shape serves questions and answers, and answers leave nothing out. */
export function whole(post: PostView): Post {
  return post as Post;
}
