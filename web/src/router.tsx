/** Every page, its address and its guard. Pages are loaded when they are first opened. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import type { Agent } from "./api/types";
import { auditSearch } from "./audit/search";
import { safeNext } from "./auth/link";
import { getAuth } from "./auth/state";
import { Broken, NotFound, Waiting } from "./shell/fallbacks";

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound });

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("./auth/SetupPage"), "SetupPage"),
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search): { next?: string } => ({ next: safeNext(search.next) }),
  beforeLoad: ({ search }) => {
    if (getAuth().status === "signed-in") throw redirect({ to: search.next ?? "/agents" });
  },
  component: lazyRouteComponent(() => import("./auth/SignInPage"), "SignInPage"),
});

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: ({ location }) => {
    if (getAuth().status === "signed-in") return;
    const next = location.href === "/" ? undefined : location.href;
    throw redirect({ to: "/sign-in", search: { next } });
  },
  component: lazyRouteComponent(() => import("./shell/Shell"), "Shell"),
});

const home = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/agents" });
  },
});

const inbox = createRoute({
  getParentRoute: () => app,
  path: "/inbox",
  component: lazyRouteComponent(() => import("./inbox/InboxPage"), "InboxPage"),
});

const TABS = ["changes", "events"] as const;
const CHANNELS = ["progress", "control", "monitor"] as const;
type Channel = (typeof CHANNELS)[number];
const STATUSES = ["idle", "busy", "waiting"] as const;

const agents = createRoute({
  getParentRoute: () => app,
  path: "/agents",
  validateSearch: (search): { status?: Agent["status"]; search?: string } => ({
    status: STATUSES.find((status) => status === search.status),
    search: typeof search.search === "string" && search.search ? search.search : undefined,
  }),
  component: lazyRouteComponent(() => import("./agents/AgentsPage"), "AgentsPage"),
});

const newAgent = createRoute({
  getParentRoute: () => app,
  path: "/agents/new",
  validateSearch: (search): { post?: string } => ({
    post: typeof search.post === "string" ? search.post : undefined,
  }),
  component: lazyRouteComponent(() => import("./agents/NewAgentPage"), "NewAgentPage"),
});

const agent = createRoute({
  getParentRoute: () => app,
  path: "/agents/$agentId",
  component: lazyRouteComponent(() => import("./agents/AgentPage"), "AgentPage"),
});

const agentSessions = createRoute({
  getParentRoute: () => agent,
  path: "/",
  component: lazyRouteComponent(() => import("./agents/AgentSessions"), "AgentSessions"),
});

const agentSettings = createRoute({
  getParentRoute: () => agent,
  path: "/settings",
  component: lazyRouteComponent(() => import("./agents/AgentSettings"), "AgentSettings"),
});

const session = createRoute({
  getParentRoute: () => app,
  path: "/agents/$agentId/sessions/$sessionId",
  validateSearch: (search): { tab?: "changes" | "events"; channel?: Channel; at?: number } => ({
    at: Number.isSafeInteger(search.at) && Number(search.at) >= 1 ? Number(search.at) : undefined,
    tab: TABS.find((tab) => tab === search.tab),
    channel: CHANNELS.find((channel) => channel === search.channel),
  }),
  component: lazyRouteComponent(() => import("./session/SessionPage"), "SessionPage"),
});

const posts = createRoute({
  getParentRoute: () => app,
  path: "/posts",
  component: lazyRouteComponent(() => import("./posts/PostsPage"), "PostsPage"),
});

const newPost = createRoute({
  getParentRoute: () => app,
  path: "/posts/new",
  component: lazyRouteComponent(() => import("./posts/PostPage"), "NewPostPage"),
});

const post = createRoute({
  getParentRoute: () => app,
  path: "/posts/$postId",
  component: lazyRouteComponent(() => import("./posts/PostPage"), "PostPage"),
});

const settings = createRoute({
  getParentRoute: () => app,
  path: "/settings",
  component: lazyRouteComponent(() => import("./settings/SettingsPage"), "SettingsPage"),
});

const settingsHome = createRoute({
  getParentRoute: () => settings,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/settings/account" });
  },
});

const account = createRoute({
  getParentRoute: () => settings,
  path: "/account",
  component: lazyRouteComponent(() => import("./account/AccountPage"), "AccountPage"),
});

const audit = createRoute({
  getParentRoute: () => settings,
  path: "/audit",
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import("./audit/AuditPage"), "AuditPage"),
});

const people = createRoute({
  getParentRoute: () => settings,
  path: "/people",
  component: lazyRouteComponent(() => import("./people/PeoplePage"), "PeoplePage"),
});

const tenants = createRoute({
  getParentRoute: () => settings,
  path: "/tenants",
  validateSearch: (search): { search?: string } => ({
    search: typeof search.search === "string" && search.search ? search.search : undefined,
  }),
  component: lazyRouteComponent(() => import("./tenants/TenantsPage"), "TenantsPage"),
});

const health = createRoute({
  getParentRoute: () => settings,
  path: "/health",
  component: lazyRouteComponent(() => import("./health/HealthPage"), "HealthPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    setup,
    signIn,
    app.addChildren([
      ...[home, inbox, agents, newAgent, session, posts, newPost, post],
      agent.addChildren([agentSessions, agentSettings]),
      settings.addChildren([settingsHome, account, people, audit, tenants, health]),
    ]),
  ]),
  defaultPreload: "intent",
  defaultErrorComponent: Broken,
  defaultPendingComponent: Waiting,
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
