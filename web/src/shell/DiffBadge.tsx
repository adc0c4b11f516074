/** Lines added and deleted: +3 −1. */
import { useTranslation } from "react-i18next";
import classes from "./bits.module.css";

type Props = { additions: number; deletions: number };

export function DiffBadge({ additions, deletions }: Props) {
  const { t } = useTranslation();
  const label = t("diff.counts", { additions, deletions });
  return (
    <span className={classes.badges} role="img" aria-label={label} title={label}>
      <span className={classes.plus}>+{additions}</span>
      <span className={classes.minus}>−{deletions}</span>
    </span>
  );
}
