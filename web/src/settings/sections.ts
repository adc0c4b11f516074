/** The pages below Settings, by whom they concern. */
export const SECTIONS = [
  { title: "settings.you", pages: [{ to: "/settings/account", label: "account.title" }] },
  { title: "settings.tenant", pages: [{ to: "/settings/audit", label: "audit.title" }] },
  { title: "settings.server", pages: [{ to: "/settings/health", label: "health.title" }] },
] as const;
