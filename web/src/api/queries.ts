/** What pages read, with the key it is kept under and how often it is read again. */
import { queryOptions } from "@tanstack/react-query";
import {
  getAgent,
  getPost,
  getWorkspaceDiff,
  listAgents,
  listApprovals,
  listModels,
  listPosts,
  listSessions,
  listTools,
} from "../../.client";
import { data } from "./http";
import { type Agent, whole } from "./types";

/** Milliseconds between two looks at lists that change by themselves. */
const LIVE_MS = 3_000;

export type AgentFilter = { status?: Agent["status"]; search?: string };

export const agentsQuery = (filter: AgentFilter) =>
  queryOptions({
    queryKey: ["agents", "list", filter],
    queryFn: async () => (await data(listAgents({ query: { ...filter, limit: 200 } }))).items,
    refetchInterval: LIVE_MS,
    placeholderData: (before) => before,
  });

export const agentQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["agents", agentId],
    queryFn: () => data(getAgent({ path: { agent_id: agentId } })),
    refetchInterval: LIVE_MS,
  });

export const sessionsQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["agents", agentId, "sessions"],
    queryFn: async () => {
      const answer = listSessions({ path: { agent_id: agentId }, query: { limit: 200 } });
      return (await data(answer)).items;
    },
    refetchInterval: LIVE_MS,
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
  queryOptions({
    queryKey: ["posts", "list"],
    queryFn: async () => (await data(listPosts({ query: { limit: 200 } }))).items.map(whole),
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
