/** Agents and their workspaces. */
import type { AgentBody, AgentPatch, AgentView, CommitBody, DiffView } from "../../.client";
import * as script from "./script.ts";
import { now, type State } from "./state.ts";
import { answer, type Call, found, page, Refused, type Routes } from "./wire.ts";

const DIFF: DiffView = {
  base: "main",
  branch: "longhouse/ada",
  files: [
    { path: "calculator.py", status: "modified", additions: 3, deletions: 1 },
    { path: "docs/division.md", status: "added", additions: 2, deletions: 0 },
  ],
  patch: script.CALCULATOR_DIFF + script.DOCS_DIFF,
};

export function agentRoutes(house: State): Routes {
  const agentOf = (path: Record<string, string>) => found(house.agents, path.agent_id);

  const refuseTakenName = (name: string, self?: AgentView) => {
    if (!house.agents.some((agent) => agent !== self && agent.name === name)) return;
    const message = `There is an agent with the name '${name}' already.`;
    const errors = [{ field: "name", message }];
    throw new Refused(409, "name-taken", message, { hint: "Choose another name.", errors });
  };

  return {
    "GET /agents": ({ query }: Call) => {
      const search = (query.get("search") ?? "").toLowerCase();
      const status = query.get("status");
      const wanted = (agent: AgentView) =>
        (!status || agent.status === status) && agent.name.toLowerCase().includes(search);
      return page(house.agents.filter(wanted), query);
    },
    "POST /agents": ({ body }: Call<AgentBody>) => {
      const source = body.repository?.source ?? null;
      if (source === "/nowhere") {
        const message = "/nowhere is not a git repository.";
        const errors = [{ field: "repository.source", message }];
        throw new Refused(422, "invalid", "The repository cannot be used.", { errors });
      }
      refuseTakenName(body.name);
      return answer(201, house.addAgent(body.name, found(house.posts, body.post_id), source));
    },
    "GET /agents/{agent_id}": ({ path }: Call) => agentOf(path),
    "PATCH /agents/{agent_id}": ({ path, body }: Call<AgentPatch>) => {
      const agent = agentOf(path);
      const { name, post_id, overrides } = body;
      if (name) refuseTakenName(name, agent);
      const post = found(house.posts, post_id ?? agent.post.id);
      Object.assign(agent, name && { name }, overrides && { overrides }, { updated_at: now() });
      agent.post = { id: post.id, name: post.name, version: post.version };
      agent.model = agent.overrides.model ?? post.model ?? "auto";
      return agent;
    },
    "DELETE /agents/{agent_id}": ({ path }: Call) => {
      house.agents = house.agents.filter((agent) => agent.id !== path.agent_id);
    },
    "GET /agents/{agent_id}/workspace/diff": ({ path, query }: Call) => {
      if (query.get("format") === "patch") {
        return new Response(DIFF.patch, { headers: { "Content-Type": "text/x-diff" } });
      }
      return house.changed.has(agentOf(path).id) ? DIFF : { ...DIFF, files: [], patch: "" };
    },
    "POST /agents/{agent_id}/workspace/commit": ({ body }: Call<CommitBody>) =>
      answer(201, { branch: body.branch, commit: "3f1c9ad2", files: 2 }),
  };
}
