/** The places of the console, in the order they have everywhere; G and a letter go there. */
import { IconIdBadge2, IconInbox, IconSettings, IconUsers } from "@tabler/icons-react";

export const PLACES = [
  { to: "/inbox", label: "nav.inbox", icon: IconInbox, key: "i" },
  { to: "/agents", label: "nav.agents", icon: IconUsers, key: "a" },
  { to: "/posts", label: "nav.posts", icon: IconIdBadge2, key: "p" },
  { to: "/settings", label: "nav.settings", icon: IconSettings, key: "s" },
] as const;
