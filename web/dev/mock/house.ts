/**
 * A scripted server for work on the console alone and for the tests of its pages. It answers the
 * routes of openapi.json from memory and plays one turn of `script.ts` for every message.
 */
import { agentRoutes } from "./agents.ts";
import { auditRoutes } from "./audit.ts";
import { identityRoutes } from "./identity.ts";
import { memberRoutes } from "./members.ts";
import { postRoutes } from "./posts.ts";
import { serverRoutes } from "./server.ts";
import { sessionRoutes } from "./sessions.ts";
import { State } from "./state.ts";
import { tenantRoutes } from "./tenants.ts";
import { type Routes, serve } from "./wire.ts";

export type House = State & {
  /** Null for an address that is no route of the API. */
  answer: (request: Request) => Promise<Response | null>;
};

/** A house without rows. `pace`: milliseconds between two pieces of an answer. */
export function house(pace = 18): House {
  const state = new State(pace);
  return Object.assign(state, { answer: serve(routesOf(state), () => state.id("req")) });
}

export function routesOf(state: State): Routes {
  return {
    ...auditRoutes(state),
    ...serverRoutes(state),
    ...identityRoutes(state),
    ...memberRoutes(state),
    ...postRoutes(state),
    ...agentRoutes(state),
    ...sessionRoutes(state),
    ...tenantRoutes(state),
  };
}
