/** All agents of the tenant, live: what each does now and what it has used. */
import { SegmentedControl, Skeleton, Stack, TextInput } from "@mantine/core";
import { IconPlus, IconSearch, IconUsers } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { agentsQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { EmptyState } from "../shell/EmptyState";
import { count } from "../shell/format";
import { LinkButton } from "../shell/links";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { StatusPill } from "../shell/StatusPill";
import { Time } from "../shell/Time";
import classes from "./agents.module.css";

const route = getRouteApi("/app/agents");
const FILTERS = ["all", "busy", "waiting", "idle"] as const;

export function AgentsPage() {
  const { t } = useTranslation();
  const filter = route.useSearch();
  const navigate = route.useNavigate();
  const { data: agents, error, refetch } = useQuery(agentsQuery(filter));
  const filtered = Boolean(filter.status || filter.search);
  const empty = agents?.length === 0;
  return (
    <Page>
      <PageHeader title={t("agents.title")} lead={t("agents.lead")}>
        <NewAgentButton />
      </PageHeader>
      {!(empty && !filtered) && (
        <div className={classes.filters}>
          <TextInput
            className={classes.search}
            aria-label={t("agents.search")}
            placeholder={t("agents.search")}
            leftSection={<IconSearch size={16} />}
            defaultValue={filter.search ?? ""}
            onChange={(event) => {
              const search = event.currentTarget.value || undefined;
              void navigate({ search: (before) => ({ ...before, search }), replace: true });
            }}
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
      {error && <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {!agents && !error && <Placeholder />}
      {empty && filtered && (
        <EmptyState icon={<IconSearch size={34} stroke={1.4} />} title={t("agents.noMatch")}>
          {t("agents.noMatchHint")}
        </EmptyState>
      )}
      {empty && !filtered && (
        <EmptyState
          icon={<IconUsers size={34} stroke={1.4} />}
          title={t("agents.none")}
          action={<NewAgentButton />}
        >
          {t("agents.noneHint")}
        </EmptyState>
      )}
      {agents && agents.length > 0 && (
        <ul className={classes.list} aria-label={t("agents.title")}>
          {agents.map((agent) => (
            <AgentRow key={agent.id} agent={agent} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function AgentRow({ agent }: { agent: Agent }) {
  const { t, i18n } = useTranslation();
  const { input, output } = agent.tokens;
  const content = (
    <>
      <div>
        <div className={classes.name}>{agent.name}</div>
        <div className={classes.sub}>
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
      <div className={classes.figure} title={t("usage.title", { input, output })}>
        {t("usage.tokens", { tokens: count(input + output, i18n.language) })}
      </div>
      <div className={classes.figure}>
        <Time time={agent.updated_at} />
      </div>
    </>
  );
  return (
    <li data-testid="agent">
      {agent.current_session_id ? (
        <Link
          className={classes.row}
          to="/agents/$agentId/sessions/$sessionId"
          params={{ agentId: agent.id, sessionId: agent.current_session_id }}
        >
          {content}
        </Link>
      ) : (
        <Link className={classes.row} to="/agents/$agentId" params={{ agentId: agent.id }}>
          {content}
        </Link>
      )}
    </li>
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

function Placeholder() {
  return (
    <Stack gap="xs">
      {[1, 2, 3].map((row) => (
        <Skeleton key={row} height={58} radius="md" />
      ))}
    </Stack>
  );
}
