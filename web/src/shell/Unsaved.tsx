/** Asks before a form that was changed is left without saving; also when the tab is closed. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useBlocker } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

/** Navigation after saving passes by with `ignoreBlocker`. */
export function Unsaved({ when }: { when: boolean }) {
  const { t } = useTranslation();
  const { status, proceed, reset } = useBlocker({
    shouldBlockFn: ({ current, next }) => when && current.pathname !== next.pathname,
    enableBeforeUnload: () => when,
    withResolver: true,
  });
  return (
    <Modal
      opened={status === "blocked"}
      onClose={() => reset?.()}
      title={t("unsaved.title")}
      centered
    >
      <Stack gap="md">
        <Text size="sm">{t("unsaved.loss")}</Text>
        <Group justify="flex-end">
          <Button variant="default" data-autofocus onClick={reset}>
            {t("unsaved.stay")}
          </Button>
          <Button color="red" onClick={proceed}>
            {t("unsaved.leave")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
