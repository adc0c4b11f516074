/** How the house itself is. */
import type { Health } from "../../.client";
import type { State } from "./state.ts";
import { answer, type Routes } from "./wire.ts";

export function serverRoutes(house: State): Routes {
  return {
    "GET /health": () => answer(house.health.status === "ok" ? 200 : 503, house.health),
    "GET /info": () => ({ name: "longhouse", version: "1.0.0", environment: "mock" }),
  };
}

export const WELL: Health = {
  status: "ok",
  checks: {
    application: { status: "ok", version: "1.0.0", environment: "local", uptime_seconds: 93_784 },
    database: { status: "ok", detail: "sqlite" },
    bus: { status: "ok", detail: "in process" },
    sandbox: { status: "ok", detail: "namespaces, seccomp", layer: "bubblewrap" },
    device: { status: "ok", detail: "local: 0 of 4 places busy" },
  },
};
