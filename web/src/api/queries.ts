/** What pages read, with the key it is kept under and how often it is read again. */
import { queryOptions } from "@tanstack/react-query";
import {
  getAgent,
  getPost,
  getSession,
  getWorkspaceDiff,
  listAgents,
  listApprovals,
  listModels,
  listPosts,
  listSessions,
  listTools,
} from "../../.client";
import { data } from "./http";
import { everyPage, PAGE_ROWS, pages } from "./paging";
import { type Agent, whole } from "./types";

/** Milliseconds between two looks at lists that change by themselves. */
const LIVE_MS = 3_000;

export type AgentFilter = { status?: Agent["status"]; search?: string };

export const agentsQuery = (filter: AgentFilter) =>
  pages(
    ["agents", "list", filter],
    (after) => data(listAgents({ query: { ...filter, after, limit: PAGE_ROWS } })),
    { every: LIVE_MS },
  );

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

/** Also read in a hidden tab: its title counts. */
export const approvalsQuery = () =>
  queryOptions({
    queryKey: ["approvals"],
    queryFn: async () => (await data(listApprovals())).items,
    refetchInterval: LIVE_MS,
    refetchIntervalInBackground: true,
  });
