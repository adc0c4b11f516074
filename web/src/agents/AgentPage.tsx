/** One agent: what it is, and all its sessions. */
import { ActionIcon, Button, Menu, Skeleton, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconMessages, IconPlus, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { deleteAgent } from "../../.client";
import { agentQuery, sessionsQuery } from "../api/queries";
import type { Agent, Session } from "../api/types";
import { ConfirmByName } from "../shell/ConfirmByName";
import { EmptyState } from "../shell/EmptyState";
import { count } from "../shell/format";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { StatusPill } from "../shell/StatusPill";
import { Time } from "../shell/Time";
import classes from "./agents.module.css";
import { useNewSession } from "./useNewSession";

const route = getRouteApi("/app/agents/$agentId");

export function AgentPage() {
  const { t } = useTranslation();
  const { agentId } = route.useParams();
  const { data: agent, error, refetch } = useQuery(agentQuery(agentId));
  const newSession = useNewSession(agentId);
  const [asking, question] = useDisclosure(false);
  if (error) {
    return (
      <Page narrow>
        <ProblemAlert error={error} onRetry={() => void refetch()} />
      </Page>
    );
  }
  if (!agent) {
    return (
      <Page>
        <Skeleton height={240} />
      </Page>
    );
  }
  return (
    <Page>
      <PageHeader title={agent.name} lead={t("agents.fromPost", { post: agent.post.name })}>
        <Button
          leftSection={<IconPlus size={16} />}
          loading={newSession.isPending}
          onClick={() => newSession.mutate()}
        >
          {t("session.new")}
        </Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size={36} aria-label={t("action.more")}>
              <IconDots size={18} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={question.open}>
              {t("agents.delete")}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </PageHeader>
      <Facts agent={agent} />
      <div className={classes.sectionHead}>
        <Title order={2}>{t("session.plural")}</Title>
      </div>
      <Sessions agentId={agentId} onNew={() => newSession.mutate()} />
      <DeleteAgent agent={agent} opened={asking} onClose={question.close} />
    </Page>
  );
}

function Facts({ agent }: { agent: Agent }) {
  const { t, i18n } = useTranslation();
  const fact = (label: string, value: ReactNode, title?: string) => (
    <div>
      <dt>{label}</dt>
      <dd title={title}>{value}</dd>
    </div>
  );
  const { input, output } = agent.tokens;
  const source = agent.repository?.source ?? t("agents.place.none");
  return (
    <dl className={classes.facts}>
      {fact(t("facts.status"), <StatusPill status={agent.status} />)}
      {fact(t("facts.model"), agent.model, agent.model)}
      {fact(t("facts.repository"), source, source)}
      {agent.repository &&
        fact(t("facts.branch"), agent.repository.branch, agent.repository.branch)}
      {fact(
        t("facts.tokens"),
        count(input + output, i18n.language),
        t("usage.title", { input, output }),
      )}
    </dl>
  );
}

function Sessions({ agentId, onNew }: { agentId: string; onNew: () => void }) {
  const { t } = useTranslation();
  const { data: sessions, error, refetch } = useQuery(sessionsQuery(agentId));
  if (error) return <ProblemAlert error={error} onRetry={() => void refetch()} />;
  if (!sessions) return <Skeleton height={120} />;
  if (sessions.length === 0) {
    return (
      <EmptyState
        icon={<IconMessages size={34} stroke={1.4} />}
        title={t("session.none")}
        action={<Button onClick={onNew}>{t("session.new")}</Button>}
      >
        {t("session.noneHint")}
      </EmptyState>
    );
  }
  return (
    <ul className={classes.list} aria-label={t("session.plural")}>
      {sessions.map((session) => (
        <SessionRow key={session.id} session={session} />
      ))}
    </ul>
  );
}

function SessionRow({ session }: { session: Session }) {
  const { t, i18n } = useTranslation();
  const { input = 0, output = 0 } = session.usage;
  return (
    <li data-testid="session-row">
      <Link
        className={classes.row}
        to="/agents/$agentId/sessions/$sessionId"
        params={{ agentId: session.agent_id, sessionId: session.id }}
      >
        <div>
          <div className={classes.name}>{session.title || t("session.untitled")}</div>
          <div className={classes.sub}>{t("session.turns", { count: session.turn })}</div>
        </div>
        <div>
          <StatusPill status={session.state} />
        </div>
        <div className={classes.figure}>
          {t("usage.tokens", { tokens: count(input + output, i18n.language) })}
        </div>
        <div className={classes.figure}>
          <Time time={session.updated_at} />
        </div>
      </Link>
    </li>
  );
}

type DeleteProps = { agent: Agent; opened: boolean; onClose: () => void };

function DeleteAgent({ agent, opened, onClose }: DeleteProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const deletion = useMutation({
    mutationFn: () => deleteAgent({ path: { agent_id: agent.id } }),
    onSuccess: () => {
      queries.removeQueries({ queryKey: ["agents", agent.id] });
      void navigate({ to: "/agents" });
    },
  });
  return (
    <ConfirmByName
      opened={opened}
      onClose={onClose}
      title={t("agents.deleteTitle", { name: agent.name })}
      loss={t("agents.deleteLoss")}
      name={agent.name}
      action={t("agents.delete")}
      pending={deletion.isPending}
      error={deletion.error}
      onConfirm={() => deletion.mutate()}
    />
  );
}
