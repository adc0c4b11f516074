/** How every part of the house is, looked at again and again. */
import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { healthQuery, infoQuery } from "../api/queries";
import { duration } from "../shell/format";
import { Placeholder } from "../shell/List";
import list from "../shell/list.module.css";
import { PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import classes from "./health.module.css";

export function HealthPage() {
  const { t, i18n } = useTranslation();
  const { data: health, error, refetch } = useQuery(healthQuery());
  const { data: info } = useQuery(infoQuery());
  const well = health?.status === "ok";
  return (
    <>
      <PageHeader
        title={t("health.title")}
        lead={info && t("health.version", { version: info.version, environment: info.environment })}
      />
      {error && <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {!health && !error && <Placeholder rows={5} />}
      {health && !error && (
        <>
          <p className={classes.summary} data-status={health.status} role="status">
            {well ? <IconCircleCheck size={20} /> : <IconAlertTriangle size={20} />}
            {t(well ? "health.ok" : "health.degraded")}
          </p>
          <ul className={list.list} aria-label={t("health.parts")}>
            {Object.entries(health.checks).map(([name, check]) => (
              <li key={name} className={classes.part} data-testid="part" data-status={check.status}>
                <div>
                  <div className={list.name}>
                    {t(`health.part.${name as keyof typeof health.checks}`, name)}
                  </div>
                  <div className={classes.detail}>
                    {"uptime_seconds" in check
                      ? t("health.uptime", {
                          time: duration(check.uptime_seconds * 1000, i18n.language),
                        })
                      : check.detail}
                  </div>
                </div>
                <span className={classes.mark}>
                  {t(check.status === "ok" ? "health.works" : "health.fails")}
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
