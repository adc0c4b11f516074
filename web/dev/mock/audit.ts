/** The audit: read and exported. */
import type { AuditEntryView } from "../../.client";
import type { State } from "./state.ts";
import { type Call, page, type Routes } from "./wire.ts";

export function auditRoutes(house: State): Routes {
  const wanted = (query: URLSearchParams) => (entry: AuditEntryView) => {
    const matches = (name: string, value: string | null) => [null, value].includes(query.get(name));
    return (
      entry.action.startsWith(query.get("action") ?? "") &&
      (entry.tenant_id === null) === (query.get("server") === "true") &&
      matches("outcome", entry.outcome) &&
      matches("actor", entry.actor.id) &&
      matches("target", entry.target) &&
      entry.at >= (query.get("since") ?? "") &&
      entry.at < (query.get("until") ?? "9")
    );
  };
  return {
    "GET /audit": ({ query }: Call) => page(house.audit.filter(wanted(query)), query),
    "GET /audit/export": ({ query }: Call) => {
      const lines = house.audit.filter(wanted(query)).map((entry) => JSON.stringify(entry));
      const headers = { "Content-Type": "application/jsonl" };
      return new Response(lines.join("\n"), { headers });
    },
  };
}
