/** Sends a decision; a call that somebody else decided meanwhile is no error worth a red box. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { decideApproval } from "../../.client";
import { asProblem } from "../api/problem";
import { toast, toastProblem } from "../shell/toast";
import type { Verdict } from "./ApprovalCard";

type Call = { agentId: string; sessionId: string; callId: string; verdict: Verdict };

export function useDecide() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ agentId, sessionId, callId, verdict }: Call) =>
      decideApproval({
        path: { agent_id: agentId, session_id: sessionId, call_id: callId },
        body: verdict,
      }),
    onError: (error) =>
      asProblem(error).status === 409 ? toast(t("approval.decidedAlready")) : toastProblem(error),
    onSettled: () => queries.invalidateQueries({ queryKey: ["approvals"] }),
  });
}
