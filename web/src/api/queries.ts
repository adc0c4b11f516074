/** What pages read, with the key it is kept under and how often it is read again. */
import { queryOptions } from "@tanstack/react-query";
import {
  getAgent,
  getAttachment,
  getHealth,
  getInfo,
  getPost,
  getSession,
  getWorkspaceDiff,
  listAgents,
  listApprovals,
  listAuditEntries,
  listEvents,
  listMembers,
  listModels,
  listPosts,
  listSessions,
  listSnapshots,
  listSubAgents,
  listTenants,
  listTools,
} from "../../.client";
import { type AuditSearch, auditQuery } from "../audit/search";
import { data } from "./http";
import { everyPage, PAGE_ROWS, pages } from "./paging";
import { asProblem } from "./problem";
import { type Agent, type Health, type Session, whole } from "./types";

/** Milliseconds between two looks at lists that change by themselves. */
const LIVE_MS = 3_000;
/** Milliseconds between two looks at the house's health: what stops shows well within 30 s. */
const HEALTH_MS = 5_000;

/** Events from which an excerpt is made. */
const EXCERPT = 120;

export type AgentFilter = { status?: Agent["status"]; search?: string };

export const agentsQuery = (filter: AgentFilter) =>
  pages(
    ["agents", "list", filter],
    (after) => data(listAgents({ query: { ...filter, after, limit: PAGE_ROWS } })),
    { every: LIVE_MS },
  );

/** The first few whose name holds this text. */
export const agentsFoundQuery = (search: string) =>
  queryOptions({
    queryKey: ["agents", "found", search],
    queryFn: async () => (await data(listAgents({ query: { search, limit: 10 } }))).items,
  });

/** Names that hold this text: what a new agent cannot be called. */
export const agentNamesQuery = (search: string) =>
  queryOptions({
    queryKey: ["agents", "names", search],
    queryFn: async () => {
      const agents = await everyPage((after) =>
        data(listAgents({ query: { search, after, limit: 200 } })),
      );
      return agents.map((agent) => agent.name);
    },
  });

export const agentQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["agents", agentId],
    queryFn: () => data(getAgent({ path: { agent_id: agentId } })),
    refetchInterval: LIVE_MS,
  });

export const sessionsQuery = (agentId: string) =>
  pages(
    ["agents", agentId, "sessions"],
    (after) =>
      data(listSessions({ path: { agent_id: agentId }, query: { after, limit: PAGE_ROWS } })),
    { every: LIVE_MS },
  );

export const sessionQuery = (agentId: string, sessionId: string) =>
  queryOptions({
    queryKey: ["agents", agentId, "sessions", sessionId],
    queryFn: () => data(getSession({ path: { agent_id: agentId, session_id: sessionId } })),
  });

/** What a session's sub-agents do; looked at again while one of them works. */
export const subAgentsQuery = (agentId: string, sessionId: string) =>
  queryOptions({
    queryKey: ["agents", agentId, "sessions", sessionId, "sub-agents"],
    queryFn: async () => {
      const path = { agent_id: agentId, session_id: sessionId };
      return (await data(listSubAgents({ path }))).items;
    },
    refetchInterval: LIVE_MS,
  });

/** The last events of a session as it was read. */
export const excerptQuery = ({ agent_id, id, last_seq }: Session) =>
  queryOptions({
    queryKey: ["agents", agent_id, "sessions", id, "excerpt", last_seq],
    queryFn: async () => {
      const path = { agent_id, session_id: id };
      const query = { before: last_seq + 1, limit: EXCERPT };
      const { items } = await data(listEvents({ path, query }));
      return items.sort((one, other) => one.seq - other.seq);
    },
    placeholderData: (before) => before,
  });

export const snapshotsQuery = (agentId: string, sessionId: string) =>
  queryOptions({
    queryKey: ["agents", agentId, "sessions", sessionId, "snapshots"],
    queryFn: async () => {
      const path = { agent_id: agentId, session_id: sessionId };
      return (await data(listSnapshots({ path }))).items;
    },
  });

/** The bytes of a picture or document; what has a digest never changes. */
export const attachmentQuery = (agentId: string, sessionId: string, digest: string) =>
  queryOptions({
    queryKey: ["attachments", sessionId, digest],
    queryFn: async () => {
      const path = { agent_id: agentId, session_id: sessionId, digest };
      return (await data(getAttachment({ path, parseAs: "blob" }))) as Blob;
    },
    staleTime: Number.POSITIVE_INFINITY,
  });

/** `revision` changes when the agent may have changed files. */
export const diffQuery = (agentId: string, revision: number) =>
  queryOptions({
    queryKey: ["agents", agentId, "diff", revision],
    queryFn: () =>
      data(getWorkspaceDiff({ path: { agent_id: agentId }, query: { format: "json" } })),
    placeholderData: (before) => before,
  });

export const postsQuery = () =>
  pages(["posts", "list", "pages"], async (after) => {
    const { items, next } = await data(listPosts({ query: { after, limit: PAGE_ROWS } }));
    return { items: items.map(whole), next };
  });

/** All posts, to choose from. */
export const allPostsQuery = () =>
  queryOptions({
    queryKey: ["posts", "list", "all"],
    queryFn: async () => {
      const posts = await everyPage((after) => data(listPosts({ query: { after, limit: 200 } })));
      return posts.map(whole);
    },
  });

export const postQuery = (postId: string) =>
  queryOptions({
    queryKey: ["posts", postId],
    queryFn: async () => whole(await data(getPost({ path: { post_id: postId } }))),
  });

export const toolsQuery = () =>
  queryOptions({
    queryKey: ["tools"],
    queryFn: async () => (await data(listTools())).items,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const modelsQuery = () =>
  queryOptions({ queryKey: ["models"], queryFn: () => data(listModels()), staleTime: 60_000 });

export const auditEntriesQuery = (search: AuditSearch) =>
  pages(["audit", search], (after) =>
    data(listAuditEntries({ query: { ...auditQuery(search), after, limit: PAGE_ROWS } })),
  );

export const membersQuery = (tenantId: string) =>
  pages(["members", tenantId], (after) =>
    data(listMembers({ path: { tenant_id: tenantId }, query: { after, limit: PAGE_ROWS } })),
  );

export const tenantsQuery = (search: string | undefined) =>
  pages(["tenants", search], (after) =>
    data(listTenants({ query: { search, after, limit: PAGE_ROWS } })),
  );

export const healthQuery = () =>
  queryOptions({
    queryKey: ["health"],
    queryFn: async (): Promise<Health> => {
      try {
        return await data(getHealth());
      } catch (error) {
        // A house that can store nothing answers with 503, and still says how each part is.
        const { document } = asProblem(error);
        if (document && "checks" in document) return document as Health;
        throw error;
      }
    },
    refetchInterval: HEALTH_MS,
  });

export const infoQuery = () =>
  queryOptions({ queryKey: ["info"], queryFn: () => data(getInfo()), staleTime: 60_000 });

/** Also read in a hidden tab: its title counts. */
export const approvalsQuery = () =>
  queryOptions({
    queryKey: ["approvals"],
    queryFn: async () => (await data(listApprovals())).items,
    refetchInterval: LIVE_MS,
    refetchIntervalInBackground: true,
  });
