/** The title of a page, one sentence on what it is for, and what can be done here. */
import { Group, Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./bits.module.css";
import { usePageTitle } from "./title";

type Props = { title: string; lead?: ReactNode; children?: ReactNode };

export function PageHeader({ title, lead, children }: Props) {
  usePageTitle(title);
  return (
    <header className={classes.header}>
      <div>
        <Title order={1}>{title}</Title>
        {lead && <p>{lead}</p>}
      </div>
      {children && <Group gap="xs">{children}</Group>}
    </header>
  );
}

export function Page({ narrow = false, children }: { narrow?: boolean; children: ReactNode }) {
  return <div className={`${classes.page} ${narrow ? classes.narrow : ""}`}>{children}</div>;
}
