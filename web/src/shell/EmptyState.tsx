/** Says that there is nothing yet, and what to do next. */
import { Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./bits.module.css";

type Props = { icon: ReactNode; title: string; children: ReactNode; action?: ReactNode };

export function EmptyState({ icon, title, children, action }: Props) {
  return (
    <div className={classes.empty} data-testid="empty-state">
      {icon}
      <Title order={2}>{title}</Title>
      <p>{children}</p>
      {action && <div className={classes.action}>{action}</div>}
    </div>
  );
}
