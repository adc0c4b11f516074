/** All sessions of an agent, the one that moved last first. */
import { Button } from "@mantine/core";
import { IconMessages } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { sessionsQuery } from "../api/queries";
import type { Session } from "../api/types";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import list from "../shell/list.module.css";
import { StatusPill } from "../shell/StatusPill";
import { Time } from "../shell/Time";
import { Tokens } from "../shell/Tokens";
import classes from "./agents.module.css";
import { useNewSession } from "./useNewSession";

const route = getRouteApi("/app/agents/$agentId");

export function AgentSessions() {
  const { t } = useTranslation();
  const { agentId } = route.useParams();
  const sessions = useInfiniteQuery(sessionsQuery(agentId));
  const newSession = useNewSession(agentId);
  return (
    <List
      query={sessions}
      label={t("session.plural")}
      keyOf={(session) => session.id}
      empty={
        <EmptyState
          icon={<IconMessages size={34} stroke={1.4} />}
          title={t("session.none")}
          action={
            <Button loading={newSession.isPending} onClick={() => newSession.mutate()}>
              {t("session.new")}
            </Button>
          }
        >
          {t("session.noneHint")}
        </EmptyState>
      }
    >
      {(session) => <SessionRow session={session} />}
    </List>
  );
}

function SessionRow({ session }: { session: Session }) {
  const { t } = useTranslation();
  return (
    <Link
      className={`${list.row} ${classes.row}`}
      data-testid="session-row"
      to="/agents/$agentId/sessions/$sessionId"
      params={{ agentId: session.agent_id, sessionId: session.id }}
    >
      <div>
        <div className={list.name}>{session.title || t("session.untitled")}</div>
        <div className={list.sub}>{t("session.turns", { count: session.turn })}</div>
      </div>
      <div>
        <StatusPill status={session.state} />
      </div>
      <div className={list.figure}>
        <Tokens {...session.usage} unit />
      </div>
      <div className={list.figure}>
        <Time time={session.updated_at} />
      </div>
    </Link>
  );
}
