/** One's own account: who one is here, and how the console looks to one. */
import { useTranslation } from "react-i18next";
import { useAuth } from "../auth/state";
import { Section } from "../settings/Section";
import { PageHeader } from "../shell/PageHeader";
import { Preferences } from "../shell/Preferences";
import classes from "./account.module.css";

export function AccountPage() {
  const { t } = useTranslation();
  const auth = useAuth();
  if (auth.status !== "signed-in") return null;
  const { user, tenants } = auth;
  return (
    <>
      <PageHeader title={t("account.title")} lead={t("account.lead")} />
      <Section title={t("account.who")}>
        <dl className={classes.facts}>
          <dt>{t("auth.display_name")}</dt>
          <dd>{user.display_name}</dd>
          <dt>{t("auth.username")}</dt>
          <dd>{user.username}</dd>
          <dt>{t("auth.email")}</dt>
          <dd>{user.email}</dd>
          <dt>{t("account.tenants")}</dt>
          <dd>
            {tenants.map((tenant) => (
              <div key={tenant.id}>
                {tenant.name} <span>{t(`role.${tenant.role}`)}</span>
              </div>
            ))}
          </dd>
        </dl>
      </Section>
      <Section title={t("preferences.title")} lead={t("account.preferencesLead")}>
        <div className={classes.preferences}>
          <Preferences />
        </div>
      </Section>
    </>
  );
}
