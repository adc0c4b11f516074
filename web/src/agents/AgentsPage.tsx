/** All agents of the tenant, live: what each does now and what it has used. */
import { SegmentedControl } from "@mantine/core";
import { IconPlus, IconSearch, IconUsers } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { agentsQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import { LinkButton } from "../shell/links";
import list from "../shell/list.module.css";
import { Page, PageHeader } from "../shell/PageHeader";
import { SearchField } from "../shell/SearchField";
import { StatusPill } from "../shell/StatusPill";
import { Time } from "../shell/Time";
import { Tokens } from "../shell/Tokens";
import classes from "./agents.module.css";

const route = getRouteApi("/app/agents");
const FILTERS = ["all", "busy", "waiting", "idle"] as const;

export function AgentsPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const navigate = route.useNavigate();
  const agents = useInfiniteQuery(agentsQuery(filter));
  const filtered = Boolean(filter.status || filter.search);
  const nobody = agents.data?.length === 0 && !filtered;
  return (
    <Page>
      <PageHeader title={t("agents.title")} lead={t("agents.lead")}>
        <NewAgentButton />
      </PageHeader>
      {!nobody && (
        <div className={list.filters}>
          <SearchField
            label={t("agents.search")}
            value={filter.search}
            onChange={(search) =>
              void navigate({ search: (before) => ({ ...before, search }), replace: true })
            }
          />
          <SegmentedControl
            aria-label={t("agents.filter")}
            data={FILTERS.map((value) => ({ value, label: t(`status.${value}`) }))}
            value={filter.status ?? "all"}
            onChange={(value) => {
              const status = value === "all" ? undefined : (value as Agent["status"]);
              void navigate({ search: (before) => ({ ...before, status }), replace: true });
            }}
          />
        </div>
      )}
      <List
        query={agents}
        label={t("agents.title")}
        keyOf={(agent) => agent.id}
        empty={filtered ? <NoMatch /> : <Nobody />}
      >
        {(agent) => <AgentRow agent={agent} />}
      </List>
    </Page>
  );
}

function AgentRow({ agent }: { agent: Agent }) {
  const content = (
    <>
      <div>
        <div className={list.name}>{agent.name}</div>
        <div className={list.sub}>
          {agent.post.name}
          {agent.repository && (
            <>
              {" · "}
              <code>{agent.repository.branch}</code>
            </>
          )}
        </div>
      </div>
      <div>
        <StatusPill status={agent.status} />
      </div>
      <div className={list.figure}>
        <Tokens {...agent.tokens} unit />
      </div>
      <div className={list.figure}>
        <Time time={agent.updated_at} />
      </div>
    </>
  );
  const look = { className: `${list.row} ${classes.row}`, "data-testid": "agent" };
  const { id: agentId, current_session_id: sessionId } = agent;
  return sessionId ? (
    <Link {...look} to="/agents/$agentId/sessions/$sessionId" params={{ agentId, sessionId }}>
      {content}
    </Link>
  ) : (
    <Link {...look} to="/agents/$agentId" params={{ agentId }}>
      {content}
    </Link>
  );
}

function NoMatch() {
  const { t } = useTranslation();
  return (
    <EmptyState icon={<IconSearch size={34} stroke={1.4} />} title={t("agents.noMatch")}>
      {t("agents.noMatchHint")}
    </EmptyState>
  );
}

function Nobody() {
  const { t } = useTranslation();
  return (
    <EmptyState
      icon={<IconUsers size={34} stroke={1.4} />}
      title={t("agents.none")}
      action={<NewAgentButton />}
    >
      {t("agents.noneHint")}
    </EmptyState>
  );
}

function NewAgentButton() {
  const { t } = useTranslation();
  return (
    <LinkButton to="/agents/new" leftSection={<IconPlus size={16} />}>
      {t("agents.new")}
    </LinkButton>
  );
}
