/** A part of a settings page: its title, a sentence, and what can be set. */
import { Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./settings.module.css";

type Props = { title: string; lead?: ReactNode; children: ReactNode };

export function Section({ title, lead, children }: Props) {
  return (
    <section className={classes.section} aria-label={title}>
      <Title order={2}>{title}</Title>
      {lead && <p>{lead}</p>}
      {children}
    </section>
  );
}
