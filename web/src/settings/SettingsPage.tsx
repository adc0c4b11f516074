/** What is set up once: one's own account, the tenant, the server. A frame for their pages. */
import { Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAuth } from "../auth/state";
import { Page } from "../shell/PageHeader";
import { mayOpen, SECTIONS } from "./sections";
import classes from "./settings.module.css";

export function SettingsPage() {
  const { t } = useTranslation();
  const auth = useAuth();
  if (auth.status !== "signed-in") return null;
  const sections = SECTIONS.map(({ title, pages }) => ({
    title,
    pages: pages.filter((page) => mayOpen(page, auth)),
  }));
  return (
    <Page>
      <div className={classes.frame}>
        <nav className={classes.sections} aria-label={t("nav.settings")}>
          {sections
            .filter(({ pages }) => pages.length > 0)
            .map(({ title, pages }) => (
              <div key={title}>
                <h2>{t(title)}</h2>
                {pages.map(({ to, label }) => (
                  <Link key={to} to={to} className={classes.link}>
                    {t(label)}
                  </Link>
                ))}
              </div>
            ))}
        </nav>
        <div className={classes.page}>
          <Outlet />
        </div>
      </div>
    </Page>
  );
}
