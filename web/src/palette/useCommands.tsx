/** What the palette offers: places, agents and posts by name, and what can be done at once. */
import { useMantineColorScheme } from "@mantine/core";
import type { SpotlightActionData, SpotlightActionGroupData } from "@mantine/spotlight";
import {
  IconBuilding,
  IconIdBadge2,
  IconLanguage,
  IconLogout,
  IconMoon,
  IconPlus,
  IconSun,
  IconSunMoon,
  IconUser,
} from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { agentsFoundQuery, allPostsQuery } from "../api/queries";
import { signOut } from "../auth/state";
import { useTenants } from "../auth/useTenants";
import { changeLanguage, LANGUAGES } from "../i18n";
import { PLACES } from "../shell/places";
import { toastProblem } from "../shell/toast";

const SIZE = 18;
const SCHEMES = { light: IconSun, dark: IconMoon, auto: IconSunMoon } as const;

/** Reads names only while the palette is open. */
export function useCommands(opened: boolean, query: string): SpotlightActionGroupData[] {
  const { t } = useTranslation();
  const named = useNamed(opened, query);
  return [
    { group: t("palette.places"), actions: usePlaces() },
    { group: t("nav.agents"), actions: named.agents },
    { group: t("nav.posts"), actions: named.posts },
    { group: t("palette.actions"), actions: useActions() },
    { group: t("tenant.switch"), actions: useTenantCommands() },
    { group: t("preferences.title"), actions: usePreferenceCommands() },
  ].filter((group) => group.actions.length > 0);
}

function usePlaces(): SpotlightActionData[] {
  const { t } = useTranslation();
  const router = useRouter();
  return PLACES.map(({ to, label, icon: Icon, key }) => ({
    id: to,
    label: t(label),
    leftSection: <Icon size={SIZE} />,
    rightSection: <kbd>{`G ${key.toUpperCase()}`}</kbd>,
    onClick: () => void router.navigate({ to }),
  }));
}

function useNamed(opened: boolean, query: string) {
  const router = useRouter();
  const agents = useQuery({
    ...agentsFoundQuery(query),
    enabled: opened && query !== "",
    placeholderData: keepPreviousData,
  });
  const posts = useQuery({ ...allPostsQuery(), enabled: opened });
  return {
    agents: (query === "" ? [] : (agents.data ?? [])).map((agent) => ({
      id: agent.id,
      label: agent.name,
      description: agent.post.name,
      leftSection: <IconUser size={SIZE} />,
      onClick: () =>
        void router.navigate({ to: "/agents/$agentId", params: { agentId: agent.id } }),
    })),
    posts: (query === "" ? [] : (posts.data ?? [])).map((post) => ({
      id: post.id,
      label: post.name,
      leftSection: <IconIdBadge2 size={SIZE} />,
      onClick: () => void router.navigate({ to: "/posts/$postId", params: { postId: post.id } }),
    })),
  };
}

function useActions(): SpotlightActionData[] {
  const { t } = useTranslation();
  const router = useRouter();
  return [
    {
      id: "new-agent",
      label: t("agents.new"),
      leftSection: <IconPlus size={SIZE} />,
      onClick: () => void router.navigate({ to: "/agents/new" }),
    },
    {
      id: "new-post",
      label: t("posts.new"),
      leftSection: <IconPlus size={SIZE} />,
      onClick: () => void router.navigate({ to: "/posts/new" }),
    },
    {
      id: "sign-out",
      label: t("auth.signOut"),
      leftSection: <IconLogout size={SIZE} />,
      onClick: () => void signOut().catch(toastProblem),
    },
  ];
}

function useTenantCommands(): SpotlightActionData[] {
  const { tenants, tenant, goTo } = useTenants();
  return tenants
    .filter((one) => one.id !== tenant?.id)
    .map((one) => ({
      id: one.id,
      label: one.name,
      leftSection: <IconBuilding size={SIZE} />,
      onClick: () => void goTo(one.id),
    }));
}

function usePreferenceCommands(): SpotlightActionData[] {
  const { t, i18n } = useTranslation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const languages = LANGUAGES.filter(({ code }) => code !== i18n.language);
  const schemes = (["light", "dark", "auto"] as const).filter((one) => one !== colorScheme);
  return [
    ...languages.map(({ code, name }) => ({
      id: code,
      label: `${t("preferences.language")}: ${name}`,
      leftSection: <IconLanguage size={SIZE} />,
      onClick: () => void changeLanguage(code),
    })),
    ...schemes.map((one) => {
      const Icon = SCHEMES[one];
      return {
        id: one,
        label: `${t("preferences.theme")}: ${t(`preferences.${one}`)}`,
        leftSection: <Icon size={SIZE} />,
        onClick: () => setColorScheme(one),
      };
    }),
  ];
}
