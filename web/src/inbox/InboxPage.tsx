/** Everything that waits for a person, decided in place. */
import { Kbd, Skeleton, Switch } from "@mantine/core";
import { IconInbox } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { approvalsQuery } from "../api/queries";
import type { Approval } from "../api/types";
import { ApprovalCard } from "../session/ApprovalCard";
import { focusOf } from "../session/useApprovalKeys";
import { useDecide } from "../session/useDecide";
import { EmptyState } from "../shell/EmptyState";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { Time } from "../shell/Time";
import classes from "./inbox.module.css";
import { canNotify, notifies, switchNotify } from "./notify";
import { idOf, moved, selected } from "./selection";

export function InboxPage() {
  const { t } = useTranslation();
  const { data: approvals, error, refetch } = useQuery(approvalsQuery());
  return (
    <Page narrow>
      <PageHeader title={t("inbox.title")} lead={t("inbox.lead")}>
        <NotifySwitch />
      </PageHeader>
      {error && <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {!approvals && !error && <Skeleton height={160} />}
      {approvals?.length === 0 && (
        <EmptyState icon={<IconInbox size={34} stroke={1.4} />} title={t("inbox.none")}>
          {t("inbox.noneHint")}
        </EmptyState>
      )}
      {approvals && approvals.length > 0 && <Waiting approvals={approvals} />}
    </Page>
  );
}

function Waiting({ approvals }: { approvals: Approval[] }) {
  const { at, list } = useSelection(approvals);
  const decision = useDecide();
  return (
    <>
      {approvals.length > 1 && (
        <p className={classes.keys}>
          <Trans i18nKey="inbox.keys" components={{ kbd: <Kbd size="xs" /> }} />
        </p>
      )}
      <ul className={classes.list} ref={list}>
        {approvals.map((approval, index) => (
          <li key={idOf(approval)} className={index === at ? undefined : classes.inactive}>
            <ApprovalCard
              approval={approval}
              agentId={approval.agent_id}
              agentName={approval.agent_name}
              active={index === at}
              pending={decision.isPending && isSame(decision.variables, approval)}
              onDecide={(verdict) =>
                decision.mutate({
                  agentId: approval.agent_id,
                  sessionId: approval.session_id,
                  callId: approval.call_id,
                  verdict,
                })
              }
            />
            <Origin approval={approval} />
          </li>
        ))}
      </ul>
    </>
  );
}

function isSame(call: { sessionId: string; callId: string }, approval: Approval): boolean {
  return call.sessionId === approval.session_id && call.callId === approval.call_id;
}

function Origin({ approval }: { approval: Approval }) {
  const { t } = useTranslation();
  const { agent_id: agentId, session_id: sessionId } = approval;
  return (
    <div className={classes.foot}>
      <Link to="/agents/$agentId/sessions/$sessionId" params={{ agentId, sessionId }}>
        {t("inbox.toSession")}
      </Link>
      <span aria-hidden="true">·</span>
      <Time time={approval.requested_at} />
    </div>
  );
}

/** J and K move; what is selected is brought into view. */
function useSelection(approvals: readonly Approval[]) {
  const list = useRef<HTMLUListElement>(null);
  const [wanted, setWanted] = useState<{ id: string | null; place: number }>({
    id: null,
    place: 0,
  });
  const ids = approvals.map(idOf);
  const at = selected(ids, wanted.id, wanted.place);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const writes = focusOf(event.target) === "note" || focusOf(event.target) === "field";
      if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key !== "j" && event.key !== "k") return;
      const next = moved(at, event.key, ids.length);
      setWanted({ id: ids[next] ?? null, place: next });
      list.current?.children[next]?.scrollIntoView({ block: "nearest" });
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
  // A decided approval leaves its place to the next, so the place is remembered too.
  useEffect(() => setWanted((before) => ({ ...before, place: at })), [at]);
  return { at, list };
}

function NotifySwitch() {
  const { t } = useTranslation();
  const [on, setOn] = useState(notifies);
  return (
    <Switch
      label={t("inbox.notify")}
      description={canNotify() ? undefined : t("inbox.notifyBlocked")}
      disabled={!canNotify()}
      checked={on}
      onChange={(event) => void switchNotify(event.currentTarget.checked).then(setOn)}
    />
  );
}
