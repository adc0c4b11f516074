/** One agent: what it is, what can be done with it, and its pages below. */
import { ActionIcon, Button, Menu, Skeleton, Tabs } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconPlus, IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Trans, useTranslation } from "react-i18next";
import { deleteAgent } from "../../.client";
import { agentQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { ConfirmByName } from "../shell/ConfirmByName";
import { CopyIdItem } from "../shell/CopyId";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { StatusPill } from "../shell/StatusPill";
import { Tokens } from "../shell/Tokens";
import classes from "./agents.module.css";
import { useNewSession } from "./useNewSession";

const route = getRouteApi("/app/agents/$agentId");

export function AgentPage() {
  const { t } = useTranslation();
  const { agentId } = route.useParams();
  const { data: agent, error, refetch } = useQuery(agentQuery(agentId));
  const newSession = useNewSession(agentId);
  const [asking, question] = useDisclosure(false);
  if (error && !agent) {
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
  const post = (
    <Link to="/posts/$postId" params={{ postId: agent.post.id }}>
      {agent.post.name}
    </Link>
  );
  return (
    <Page>
      <PageHeader
        title={agent.name}
        lead={<Trans i18nKey="agents.fromPost" components={{ post }} />}
      >
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
            <CopyIdItem id={agent.id} />
            <Menu.Divider />
            <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={question.open}>
              {t("agents.delete")}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </PageHeader>
      <Facts agent={agent} />
      <Sections agentId={agentId} />
      <DeleteAgent agent={agent} opened={asking} onClose={question.close} />
    </Page>
  );
}

/** The agent's pages, by their address. */
function Sections({ agentId }: { agentId: string }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const settings = useRouterState({
    select: (state) => state.location.pathname.endsWith("/settings"),
  });
  const params = { agentId };
  return (
    <Tabs
      value={settings ? "settings" : "sessions"}
      onChange={(tab) =>
        void navigate({
          to: tab === "settings" ? "/agents/$agentId/settings" : "/agents/$agentId",
          params,
        })
      }
    >
      <Tabs.List mb="md">
        <Tabs.Tab value="sessions">{t("session.plural")}</Tabs.Tab>
        <Tabs.Tab value="settings">{t("settings.title")}</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value={settings ? "settings" : "sessions"}>
        <Outlet />
      </Tabs.Panel>
    </Tabs>
  );
}

function Facts({ agent }: { agent: Agent }) {
  const { t } = useTranslation();
  const fact = (label: string, value: ReactNode, title?: string) => (
    <div>
      <dt>{label}</dt>
      <dd title={title}>{value}</dd>
    </div>
  );
  const source = agent.repository?.source ?? t("agents.place.none");
  return (
    <dl className={classes.facts}>
      {fact(t("facts.status"), <StatusPill status={agent.status} />)}
      {fact(t("facts.model"), agent.model, agent.model)}
      {fact(t("facts.repository"), source, source)}
      {agent.repository &&
        fact(t("facts.branch"), agent.repository.branch, agent.repository.branch)}
      {fact(t("facts.tokens"), <Tokens {...agent.tokens} />)}
    </dl>
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
      void navigate({ to: "/agents", ignoreBlocker: true });
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
