/** The frame of the pages that stand before the door. */
import { Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Logo } from "../shell/Logo";
import { LanguageSwitch, ThemeSwitch } from "../shell/Preferences";
import { usePageTitle } from "../shell/title";
import classes from "./auth.module.css";

type Props = { title: string; lead: string; children: ReactNode };

export function AuthScreen({ title, lead, children }: Props) {
  usePageTitle(title);
  return (
    <div className={classes.screen}>
      <main className={classes.card}>
        <div className={classes.brand}>
          <Logo size={30} />
          Longhouse
        </div>
        <Title order={1}>{title}</Title>
        <p className={classes.lead}>{lead}</p>
        {children}
      </main>
      <div className={classes.foot}>
        <LanguageSwitch />
        <ThemeSwitch />
      </div>
    </div>
  );
}
