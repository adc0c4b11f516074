/** The pages below Settings, by whom they concern; and who may see which. Pure. */
import type { SignedIn } from "../auth/state";

export const SECTIONS = [
  { title: "settings.you", pages: [{ to: "/settings/account", label: "account.title" }] },
  {
    title: "settings.tenant",
    pages: [
      { to: "/settings/people", label: "people.title", who: "managers" },
      { to: "/settings/audit", label: "audit.title", who: "managers" },
    ],
  },
  {
    title: "settings.server",
    pages: [
      { to: "/settings/tenants", label: "tenants.title", who: "managers" },
      { to: "/settings/health", label: "health.title" },
    ],
  },
] as const;

type Page = { to: string; who?: "managers" };

/** Who manages the tenant: its owners and admins, and the admins of the server. */
export function mayOpen(page: Page, { user, tenant }: Pick<SignedIn, "user" | "tenant">): boolean {
  if (!page.who || user.role === "admin") return true;
  return tenant?.role === "owner" || tenant?.role === "admin";
}
