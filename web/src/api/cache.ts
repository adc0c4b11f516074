/** What was read from the server, and how long it counts as fresh. Emptied when somebody leaves. */
import { QueryClient } from "@tanstack/react-query";
import { asProblem } from "./problem";

const MOST_RETRIES = 2;

export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      // What the server refused it will refuse again; what did not reach it may.
      retry: (failures, error) =>
        failures < MOST_RETRIES && (asProblem(error).unreachable || asProblem(error).status >= 500),
    },
  },
});
