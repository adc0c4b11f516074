/** Makes a session of its own from a moment of this one, and goes there. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { forkSession } from "../../.client";
import { data } from "../api/http";
import { toast, toastProblem } from "../shell/toast";
import type { SessionPlace } from "./place";

export function useFork({ agentId, sessionId }: SessionPlace) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  return useMutation({
    /** `at`: an event's number; undefined is now. */
    mutationFn: (at: number | undefined) =>
      data(
        forkSession({
          path: { agent_id: agentId, session_id: sessionId },
          body: at === undefined ? {} : { at },
        }),
      ),
    onSuccess: (fork) => {
      void queries.invalidateQueries({ queryKey: ["agents", agentId, "sessions"], exact: true });
      toast(t("moment.forked"));
      void navigate({
        to: "/agents/$agentId/sessions/$sessionId",
        params: { agentId, sessionId: fork.id },
      });
    },
    onError: toastProblem,
  });
}
