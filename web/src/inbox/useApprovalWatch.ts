/**
 * Keeps an eye on what waits for a person, on every page: counts it in the tab's title and, if
 * wanted, raises a browser notification for what is new while nobody looks.
 */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { approvalsQuery } from "../api/queries";
import type { Approval } from "../api/types";
import { summarize } from "../session/summary";
import { showWaiting } from "../shell/title";
import { notifies } from "./notify";
import { idOf } from "./selection";

export function useApprovalWatch(): number {
  const { t } = useTranslation();
  const { data: approvals } = useQuery(approvalsQuery());
  const known = useRef<ReadonlySet<string> | null>(null);
  const count = approvals?.length ?? 0;
  useEffect(() => showWaiting(count), [count]);
  useEffect(() => {
    if (!approvals) return;
    const before = known.current;
    known.current = new Set(approvals.map(idOf));
    // What waited when the console opened is not news.
    if (!before || !notifies() || !document.hidden) return;
    for (const approval of fresh(approvals, before)) {
      const title = t("inbox.notification", { agent: approval.agent_name, tool: approval.name });
      const body = summarize(approval.arguments);
      new Notification(title, { body, tag: idOf(approval) });
    }
  }, [approvals, t]);
  return count;
}

/** Approvals that were not there before. Pure. */
export function fresh(approvals: readonly Approval[], before: ReadonlySet<string>): Approval[] {
  return approvals.filter((one) => !before.has(idOf(one)));
}
