/** Opens a new session of an agent and goes there. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { createSession } from "../../.client";
import { data } from "../api/http";
import { toastProblem } from "../shell/toast";

export function useNewSession(agentId: string) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => data(createSession({ path: { agent_id: agentId }, body: {} })),
    onSuccess: (session) => {
      void queries.invalidateQueries({ queryKey: ["agents", agentId] });
      void navigate({
        to: "/agents/$agentId/sessions/$sessionId",
        params: { agentId, sessionId: session.id },
      });
    },
    onError: toastProblem,
  });
}
