/**
 * Any row of a transcript; and, under a call that sent out a sub-agent, the end of what that one
 * says and does, whose rows are rows as well.
 */
import { Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { excerptQuery, subAgentsQuery } from "../api/queries";
import type { Session } from "../api/types";
import { ProblemAlert } from "../shell/ProblemAlert";
import { StatusPill } from "../shell/StatusPill";
import { Tokens } from "../shell/Tokens";
import type { SessionEvent } from "./events";
import { Markdown } from "./Markdown";
import { NoteView } from "./NoteView";
import { PlaceContext, usePlace } from "./place";
import { addRows, NO_ROWS, type Row, type ToolRow } from "./rows";
import {
  DoneView,
  ErrorView,
  InterruptView,
  MessageView,
  ResumedView,
  ThinkingView,
} from "./rowViews";
import { ToolCard } from "./ToolCard";
import classes from "./transcript.module.css";

/** The tool that sends out a sub-agent. */
const DELEGATES = "task_run";
/** Rows shown of a sub-agent: its last ones; its own page has all. */
const MOST_ROWS = 12;

type Props = {
  row: Row;
  opened: boolean | undefined;
  onToggle: (key: string, opened: boolean) => void;
};

export function RowView({ row, opened, onToggle }: Props) {
  switch (row.kind) {
    case "message":
      return <MessageView row={row} />;
    case "text":
      return (
        <div className={classes.answer} data-testid="answer">
          <Markdown text={row.text} />
        </div>
      );
    case "thinking":
      return <ThinkingView row={row} opened={opened ?? false} onToggle={onToggle} />;
    case "tool":
      return <ToolCard row={row} opened={opened} onToggle={onToggle} behind={behind(row)} />;
    case "done":
      return <DoneView row={row} />;
    case "error":
      return <ErrorView row={row} />;
    case "resumed":
      return <ResumedView row={row} />;
    case "interrupt":
      return <InterruptView row={row} />;
    case "note":
      return <NoteView row={row} opened={opened ?? false} onToggle={onToggle} />;
  }
}

/** A function of the module, so that a card that did not change is not drawn again. */
function behind(row: ToolRow): typeof subAgentOf | undefined {
  return row.name === DELEGATES ? subAgentOf : undefined;
}

function subAgentOf(row: ToolRow) {
  return <SubAgent callId={row.callId} />;
}

function SubAgent({ callId }: { callId: string }) {
  const { t } = useTranslation();
  const { agentId, sessionId } = usePlace();
  const { data: sessions, error, refetch } = useQuery(subAgentsQuery(agentId, sessionId));
  const session = sessions?.find((one) => one.delegated_by?.call_id === callId);
  if (error) return <ProblemAlert error={error} onRetry={() => void refetch()} />;
  if (!sessions) return <Loader size="xs" type="dots" m="sm" />;
  if (!session) return <p className={classes.aside}>{t("subAgent.none")}</p>;
  return (
    <section
      className={classes.subAgent}
      aria-label={t("subAgent.title", { post: session.delegated_by?.post })}
      data-testid="sub-agent"
    >
      <header>
        <span className={classes.subAgentName}>
          {t("subAgent.title", { post: session.delegated_by?.post })}
        </span>
        <StatusPill status={session.state} />
        <Tokens {...session.usage} unit />
        <Link to="/agents/$agentId/sessions/$sessionId" params={{ agentId, sessionId: session.id }}>
          {t("subAgent.open")}
        </Link>
      </header>
      <Excerpt session={session} />
    </section>
  );
}

/** The last rows of a session. */
function Excerpt({ session }: { session: Session }) {
  const { data } = useQuery(excerptQuery(session));
  const rows = useMemo(() => {
    const events = (data ?? []) as unknown as SessionEvent[];
    return addRows(NO_ROWS, events).list.slice(-MOST_ROWS);
  }, [data]);
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const toggle = useCallback((key: string, open: boolean) => {
    setOpened((before) => new Map(before).set(key, open));
  }, []);
  const place = useMemo(
    () => ({ agentId: session.agent_id, sessionId: session.id, excerpt: true }),
    [session.agent_id, session.id],
  );
  return (
    <PlaceContext value={place}>
      {rows.map((row) => (
        <RowView key={row.key} row={row} opened={opened.get(row.key)} onToggle={toggle} />
      ))}
    </PlaceContext>
  );
}
