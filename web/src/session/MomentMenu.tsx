/** What can be done with a moment of the conversation: look at it as it was, or fork from it. */
import { ActionIcon, Menu } from "@mantine/core";
import { IconDots, IconGitFork, IconHistory } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { LinkItem } from "../shell/links";
import { usePlace } from "./place";
import classes from "./transcript.module.css";
import { useFork } from "./useFork";

type Props = {
  /** Number of the event after which the moment is. */
  at: number;
};

export function MomentMenu({ at }: Props) {
  const { t } = useTranslation();
  const place = usePlace();
  const fork = useFork(place);
  if (place.excerpt || at < 1) return null;
  const { agentId, sessionId } = place;
  return (
    <Menu position="bottom-end" width={230} keepMounted={false}>
      <Menu.Target>
        <ActionIcon
          className={classes.momentMenu}
          variant="subtle"
          color="gray"
          size={22}
          loading={fork.isPending}
          aria-label={t("moment.menu")}
        >
          <IconDots size={15} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconGitFork size={16} />} onClick={() => fork.mutate(at)}>
          {t("moment.fork")}
        </Menu.Item>
        <LinkItem
          to="/agents/$agentId/sessions/$sessionId"
          params={{ agentId, sessionId }}
          search={{ at }}
          leftSection={<IconHistory size={16} />}
        >
          {t("moment.look")}
        </LinkItem>
      </Menu.Dropdown>
    </Menu>
  );
}
