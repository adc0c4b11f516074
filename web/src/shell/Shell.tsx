/** The frame of every page behind the door: the rail, the account, and room for the page. */
import {
  ActionIcon,
  Burger,
  Drawer,
  type FloatingPosition,
  Kbd,
  Menu,
  UnstyledButton,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconInbox, IconLogout, IconSearch, IconUserCircle } from "@tabler/icons-react";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { signOut, useAuth } from "../auth/state";
import { useTenants } from "../auth/useTenants";
import { useApprovalWatch } from "../inbox/useApprovalWatch";
import { openPalette, Palette } from "../palette/Palette";
import { Logo } from "./Logo";
import { LinkItem } from "./links";
import { Preferences } from "./Preferences";
import { PLACES } from "./places";
import classes from "./shell.module.css";
import { TenantSwitch } from "./TenantSwitch";
import { toastProblem } from "./toast";
import { useGoKeys } from "./useGoKeys";

/** Another tenant is another house: nothing of the one before stays on the screen. */
export function Shell() {
  const { tenant } = useTenants();
  return <Frame key={tenant?.id} />;
}

function Frame() {
  const { t } = useTranslation();
  useGoKeys();
  const waiting = useApprovalWatch();
  const [opened, menu] = useDisclosure(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the menu
  useEffect(menu.close, [path]);
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#main">
        {t("nav.skip")}
      </a>
      <div className={classes.bar}>
        <Burger opened={opened} onClick={menu.toggle} size="sm" aria-label={t("nav.menu")} />
        <Logo size={24} />
        <span className={classes.label}>Longhouse</span>
        <ActionIcon
          variant="subtle"
          color="gray"
          size={36}
          aria-label={t("palette.title")}
          onClick={openPalette}
        >
          <IconSearch size={18} />
        </ActionIcon>
        {waiting > 0 && (
          <Link
            className={classes.link}
            to="/inbox"
            aria-label={t("nav.waiting", { count: waiting })}
          >
            <IconInbox size={18} aria-hidden />
            <span className={classes.count}>{waiting}</span>
          </Link>
        )}
      </div>
      <nav className={classes.rail} aria-label={t("nav.label")}>
        <div className={classes.brand}>
          <Logo size={26} />
          <span className={classes.brandName}>Longhouse</span>
        </div>
        <TenantSwitch />
        <PaletteButton />
        <Places waiting={waiting} />
        <div className={classes.spring} />
        <Account position="right-end" />
      </nav>
      <Drawer opened={opened} onClose={menu.close} size={264} title="Longhouse" padding="sm">
        <div className={classes.drawer}>
          <TenantSwitch />
          <Places waiting={waiting} />
          <div className={classes.spring} />
          <Account position="top-start" />
        </div>
      </Drawer>
      <main id="main" className={classes.main} tabIndex={-1}>
        <Outlet />
      </main>
      <Palette />
    </div>
  );
}

function PaletteButton() {
  const { t } = useTranslation();
  const [modifier] = useState(() => (/mac|iphone|ipad/i.test(navigator.platform) ? "⌘" : "Ctrl"));
  return (
    <UnstyledButton
      className={`${classes.link} ${classes.palette}`}
      title={t("palette.title")}
      aria-keyshortcuts="Control+K Meta+K"
      onClick={openPalette}
    >
      <IconSearch size={18} stroke={1.75} aria-hidden />
      <span className={classes.label}>{t("palette.title")}</span>
      <Kbd size="xs" className={classes.label} aria-hidden>{`${modifier} K`}</Kbd>
    </UnstyledButton>
  );
}

function Places({ waiting }: { waiting: number }) {
  const { t } = useTranslation();
  return PLACES.map(({ to, label, icon: Icon }) => (
    <Link key={to} to={to} className={classes.link} title={t(label)}>
      <Icon size={18} stroke={1.75} aria-hidden />
      <span className={classes.label}>{t(label)}</span>
      {to === "/inbox" && waiting > 0 && (
        <span className={classes.count} data-testid="waiting-count">
          {waiting}
        </span>
      )}
    </Link>
  ));
}

function Account({ position }: { position: FloatingPosition }) {
  const { t } = useTranslation();
  const auth = useAuth();
  if (auth.status !== "signed-in") return null;
  const { user, tenant } = auth;
  const name = user.display_name || user.username;
  return (
    <Menu position={position} width={240} withinPortal keepMounted={false}>
      <Menu.Target>
        <UnstyledButton className={classes.account} aria-label={t("nav.account", { name })}>
          <span className={classes.avatar} aria-hidden="true">
            {initials(name)}
          </span>
          <span className={classes.who}>
            <div>{name}</div>
            <div>{tenant?.name}</div>
          </span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown p="sm">
        <Preferences />
        <Menu.Divider my="sm" />
        <LinkItem to="/settings/account" leftSection={<IconUserCircle size={16} />}>
          {t("account.title")}
        </LinkItem>
        <Menu.Item
          leftSection={<IconLogout size={16} />}
          onClick={() => void signOut().catch(toastProblem)}
        >
          {t("auth.signOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  return words
    .slice(0, 2)
    .map((word) => Array.from(word)[0] ?? "")
    .join("")
    .toUpperCase();
}
