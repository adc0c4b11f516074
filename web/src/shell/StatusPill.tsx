/** What an agent or a session is doing, in one word and one colour. */
import { useTranslation } from "react-i18next";
import classes from "./bits.module.css";

export type Status = "idle" | "busy" | "waiting" | "ready" | "working";

export function StatusPill({ status }: { status: Status }) {
  const { t } = useTranslation();
  return (
    <span className={classes.pill} data-status={status} data-testid="status">
      {t(`status.${status}`)}
    </span>
  );
}
