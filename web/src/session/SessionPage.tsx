/** An agent at work: the conversation, what it asks for, what it changed. */
import {
  ActionIcon,
  Button,
  Drawer,
  Kbd,
  Menu,
  SegmentedControl,
  Title,
  Tooltip,
  VisuallyHidden,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconLayoutSidebarRight,
  IconMessages,
  IconPlayerStop,
  IconPlugConnectedX,
  IconPlus,
} from "@tabler/icons-react";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNewSession } from "../agents/useNewSession";
import { randomId } from "../api/ids";
import { agentQuery, sessionQuery, sessionsQuery } from "../api/queries";
import type { StreamStatus } from "../api/stream";
import type { Agent, Session } from "../api/types";
import { CopyIdItem } from "../shell/CopyId";
import { Waiting } from "../shell/fallbacks";
import { LinkItem } from "../shell/links";
import { Page } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { StatusPill } from "../shell/StatusPill";
import { usePageTitle } from "../shell/title";
import { toastProblem } from "../shell/toast";
import { ApprovalCard } from "./ApprovalCard";
import { Changes } from "./Changes";
import { Composer } from "./Composer";
import { Details } from "./Details";
import { EventsView } from "./EventsView";
import type { SessionView } from "./fold";
import { HistoryMenu } from "./HistoryMenu";
import { Lineage } from "./Lineage";
import { MomentBar } from "./MomentBar";
import { PlaceContext } from "./place";
import classes from "./session.module.css";
import type { SessionSnapshot, SessionStore } from "./store";
import { Transcript } from "./Transcript";
import { useDecide } from "./useDecide";
import { useSession } from "./useSession";

const route = getRouteApi("/app/agents/$agentId/sessions/$sessionId");
const TABS = ["changes", "events"] as const;
/** Milliseconds a stream may be away before a banner says so: a reconnect takes less. */
const PATIENCE_MS = 1_500;
/** The newest sessions, which the menu offers; the agent's page has all. */
const MENU_SESSIONS = 20;

export function SessionPage() {
  const { agentId, sessionId } = route.useParams();
  const { tab, at } = route.useSearch();
  const navigate = route.useNavigate();
  const { store, snapshot } = useSession(agentId, sessionId, at);
  const { data: agent } = useQuery(agentQuery(agentId));
  const { problem, stream } = snapshot;
  const view = useKept(snapshot.view, sessionId);
  const place = useMemo(() => ({ agentId, sessionId }), [agentId, sessionId]);
  usePageTitle(agent?.name ?? "");
  if (problem && !view) {
    return (
      <Page narrow>
        <ProblemAlert error={problem} onRetry={() => void store.start()} />
      </Page>
    );
  }
  if (!view) return <Waiting />;
  return (
    <PlaceContext value={place}>
      <div className={classes.page}>
        <div className={classes.center} data-testid="session" data-state={view.state}>
          <Header agent={agent} view={view} />
          {at === undefined ? (
            <LostBanner stream={stream} />
          ) : (
            <MomentBar
              at={at}
              forkable={snapshot.forkable}
              onMove={(to) =>
                void navigate({ search: (before) => ({ ...before, at: to }), replace: true })
              }
            />
          )}
          {tab === "changes" && agent && <Changes agent={agent} revision={view.revision} />}
          {tab === "events" && <Events store={store} snapshot={snapshot} view={view} />}
          {!tab && (
            <Conversation
              key={at}
              store={store}
              view={view}
              loadingOlder={snapshot.loadingOlder}
              past={at !== undefined}
            />
          )}
          {at === undefined && (
            <Foot store={store} view={view} agentId={agentId} sessionId={sessionId} />
          )}
        </div>
        <aside className={classes.aside}>
          <Details view={view} agent={agent} />
        </aside>
      </div>
    </PlaceContext>
  );
}

/** The last view of the session while another moment of it is read: nothing flashes. */
function useKept(view: SessionView | null, sessionId: string): SessionView | null {
  const kept = useRef({ view, sessionId });
  if (view || kept.current.sessionId !== sessionId) kept.current = { view, sessionId };
  return view ?? kept.current.view;
}

type HeaderProps = { agent: Agent | undefined; view: SessionView };

function Header({ agent, view }: HeaderProps) {
  const { t } = useTranslation();
  const { agentId, sessionId } = route.useParams();
  const { tab, at } = route.useSearch();
  const navigate = route.useNavigate();
  const sessions = useInfiniteQuery(sessionsQuery(agentId));
  const { data: current, refetch } = useQuery(sessionQuery(agentId, sessionId));
  const newSession = useNewSession(agentId);
  const [opened, details] = useDisclosure(false);
  const untitled = current?.title === "";
  // The first message gives the session its title.
  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever another turn began
  useEffect(() => {
    if (untitled) void refetch();
  }, [view.turn]);
  return (
    <header className={classes.header}>
      <div className={classes.names}>
        <div>
          <h1>
            <Link to="/agents/$agentId" params={{ agentId }}>
              {agent?.name ?? "…"}
            </Link>
          </h1>
          <StatusPill status={view.state} />
        </div>
        {current ? <Lineage session={current} /> : <p>…</p>}
      </div>
      <SegmentedControl
        size="xs"
        aria-label={t("session.tabs")}
        data={[
          { value: "conversation", label: t("session.conversation") },
          // The workspace is as it is now, whatever moment is looked at.
          ...(at === undefined ? [{ value: "changes", label: t("changes.title") }] : []),
          { value: "events", label: t("events.title") },
        ]}
        value={tab ?? "conversation"}
        onChange={(value) =>
          void navigate({ search: { at, tab: TABS.find((one) => one === value) } })
        }
      />
      {!current?.delegated_by && <HistoryMenu />}
      <Menu position="bottom-end" width={280}>
        <Menu.Target>
          <Tooltip label={t("session.plural")} openDelay={400}>
            <ActionIcon variant="default" size={32} aria-label={t("session.plural")}>
              <IconMessages size={17} />
            </ActionIcon>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown mah="60dvh" style={{ overflowY: "auto" }}>
          <Menu.Item leftSection={<IconPlus size={15} />} onClick={() => newSession.mutate()}>
            {t("session.new")}
          </Menu.Item>
          <Menu.Divider />
          {sessions.data?.slice(0, MENU_SESSIONS).map((one) => (
            <LinkItem
              key={one.id}
              to="/agents/$agentId/sessions/$sessionId"
              params={{ agentId, sessionId: one.id }}
              fw={one.id === sessionId ? 600 : 400}
              rightSection={one.state === "ready" ? null : <StatusPill status={one.state} />}
            >
              {one.title || t("session.untitled")}
            </LinkItem>
          ))}
          <Menu.Divider />
          <LinkItem to="/agents/$agentId" params={{ agentId }}>
            {t("session.all")}
          </LinkItem>
          <CopyIdItem id={sessionId} />
        </Menu.Dropdown>
      </Menu>
      <ActionIcon
        className={classes.wide}
        variant="default"
        size={32}
        aria-label={t("session.details")}
        onClick={details.open}
      >
        <IconLayoutSidebarRight size={17} />
      </ActionIcon>
      <Drawer
        opened={opened}
        onClose={details.close}
        position="right"
        size={320}
        title={t("session.details")}
      >
        <Details view={view} agent={agent} />
      </Drawer>
    </header>
  );
}

function LostBanner({ stream }: { stream: StreamStatus }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState(false);
  const live = stream === "live";
  useEffect(() => {
    if (live) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [live]);
  if (!shown) return null;
  return (
    <div className={classes.lost} role="status" data-testid="not-live">
      <IconPlugConnectedX size={16} aria-hidden />
      {t("session.notLive")}
    </div>
  );
}

type EventsProps = { store: SessionStore; snapshot: SessionSnapshot; view: SessionView };

function Events({ store, snapshot, view }: EventsProps) {
  const { channel, at } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <EventsView
      store={store}
      view={view}
      loadingOlder={snapshot.loadingOlder}
      channel={channel}
      onChannel={(chosen) =>
        void navigate({ search: { at, tab: "events", channel: chosen }, replace: true })
      }
    />
  );
}

type ConversationProps = {
  store: SessionStore;
  view: SessionView;
  loadingOlder: boolean;
  /** A moment of it is looked at. */
  past: boolean;
};

function Conversation({ store, view, loadingOlder, past }: ConversationProps) {
  const empty = view.rows.list.length === 0 && view.outbox.length === 0 && view.first <= 1;
  if (empty && view.state === "ready" && !past) return <Start store={store} />;
  return <Transcript store={store} view={view} loadingOlder={loadingOlder} />;
}

const SUGGESTIONS = ["fixTests", "explain", "review"] as const;

function Start({ store }: { store: SessionStore }) {
  const { t } = useTranslation();
  return (
    <div className={classes.start} data-testid="empty-state">
      <Title order={2}>{t("start.title")}</Title>
      <p>{t("start.hint")}</p>
      <div className={classes.suggestions}>
        {SUGGESTIONS.map((name) => (
          <Button
            key={name}
            size="xs"
            radius="xl"
            variant="default"
            onClick={() => void store.send(t(`start.${name}`), randomId()).catch(toastProblem)}
          >
            {t(`start.${name}`)}
          </Button>
        ))}
      </div>
    </div>
  );
}

type FootProps = { store: SessionStore; view: SessionView; agentId: string; sessionId: string };

function Foot({ store, view, agentId, sessionId }: FootProps) {
  const { t } = useTranslation();
  const decision = useDecide();
  const queries = useQueryClient();
  const { data: session } = useQuery(sessionQuery(agentId, sessionId));
  const [approval] = view.approvals;
  const waiting = view.approvals.length;
  // The rail's count need not wait for its next look.
  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever the number changes
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: ["approvals"] });
  }, [queries, waiting]);
  if (session?.delegated_by) return <ReadOnlyFoot agentId={agentId} session={session} />;
  return (
    <div className={classes.foot}>
      {view.state === "working" && <Working store={store} step={view.step} />}
      {approval && (
        <div className={classes.approvals}>
          <VisuallyHidden role="alert">
            {t("approval.label", { tool: approval.name })}
          </VisuallyHidden>
          <ApprovalCard
            key={approval.call_id}
            approval={approval}
            agentId={agentId}
            more={view.approvals.length - 1}
            active
            takesFocus
            pending={decision.isPending || decision.variables?.callId === approval.call_id}
            onDecide={(verdict) =>
              decision.mutate({ agentId, sessionId, callId: approval.call_id, verdict })
            }
          />
        </div>
      )}
      <Composer store={store} state={view.state} />
    </div>
  );
}

/** A sub-agent is read, not talked to: what it asks is asked where it was sent from. */
function ReadOnlyFoot({ agentId, session }: { agentId: string; session: Session }) {
  const { t } = useTranslation();
  const sessionId = session.delegated_by?.session_id ?? "";
  return (
    <div className={classes.foot}>
      <p className={classes.readOnly}>
        {t("subAgent.readOnly")}{" "}
        <Link to="/agents/$agentId/sessions/$sessionId" params={{ agentId, sessionId }}>
          {t("subAgent.toParent")}
        </Link>
      </p>
    </div>
  );
}

function Working({ store, step }: { store: SessionStore; step: number }) {
  const { t } = useTranslation();
  const [asked, setAsked] = useState(false);
  const interrupt = () => {
    setAsked(true);
    store.interrupt().catch((error) => {
      setAsked(false);
      toastProblem(error);
    });
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const busy = event.defaultPrevented || event.isComposing;
      if (event.key !== "Escape" || busy || document.querySelector("[role=dialog], [role=menu]")) {
        return;
      }
      event.preventDefault();
      interrupt();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
  return (
    <div className={classes.working} role="status">
      <i className={classes.dots} aria-hidden="true" />
      <span>{t("session.working", { step })}</span>
      <Button
        size="compact-sm"
        variant="default"
        disabled={asked}
        leftSection={<IconPlayerStop size={14} />}
        rightSection={<Kbd size="xs">Esc</Kbd>}
        onClick={interrupt}
      >
        {t("session.interrupt")}
      </Button>
    </div>
  );
}
