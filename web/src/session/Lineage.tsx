/** Where a session comes from: the one it was forked from, or works for, and theirs before. */
import { IconChevronRight } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { sessionQuery } from "../api/queries";
import type { Session } from "../api/types";
import classes from "./session.module.css";

/** Ancestors that are named; whoever wants more follows the first one. */
const MOST_ANCESTORS = 4;

/** The session's title, behind those of its ancestors. */
export function Lineage({ session }: { session: Session }) {
  const { t } = useTranslation();
  const title = session.title || t("session.untitled");
  if (!parentOf(session)) return <p>{title}</p>;
  return (
    <nav className={classes.lineage} aria-label={t("lineage.title")}>
      <Ancestors session={session} depth={1} />
      <span aria-current="page">
        {session.delegated_by
          ? t("subAgent.title", { post: session.delegated_by.post })
          : t("lineage.fork", { title })}
      </span>
    </nav>
  );
}

function Ancestors({ session, depth }: { session: Session; depth: number }) {
  const { t } = useTranslation();
  const { agent_id: agentId } = session;
  const sessionId = parentOf(session);
  const { data: parent, isError } = useQuery({
    ...sessionQuery(agentId, sessionId ?? ""),
    enabled: sessionId !== undefined,
  });
  if (sessionId === undefined) return null;
  if (depth > MOST_ANCESTORS) {
    return (
      <>
        <span aria-hidden="true">…</span>
        <Then />
      </>
    );
  }
  return (
    <>
      {parent && <Ancestors session={parent} depth={depth + 1} />}
      {isError ? (
        <span>{t("lineage.gone")}</span>
      ) : (
        <Link to="/agents/$agentId/sessions/$sessionId" params={{ agentId, sessionId }}>
          {parent ? parent.title || t("session.untitled") : "…"}
        </Link>
      )}
      <Then />
    </>
  );
}

function Then() {
  return <IconChevronRight size={13} aria-hidden />;
}

function parentOf(session: Session): string | undefined {
  return (session.delegated_by ?? session.forked_from)?.session_id;
}
