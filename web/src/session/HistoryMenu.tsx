/** The session's named moments: take one, look at one; and fork the session as it is. */
import {
  ActionIcon,
  Button,
  Group,
  Menu,
  Modal,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCamera, IconGitFork, IconHistory } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { takeSnapshot } from "../../.client";
import { data } from "../api/http";
import { asProblem } from "../api/problem";
import { snapshotsQuery } from "../api/queries";
import { LinkItem } from "../shell/links";
import { ProblemAlert } from "../shell/ProblemAlert";
import { toast } from "../shell/toast";
import { type SessionPlace, usePlace } from "./place";
import { useFork } from "./useFork";

export function HistoryMenu() {
  const { t } = useTranslation();
  const place = usePlace();
  const fork = useFork(place);
  const [opened, menu] = useDisclosure(false);
  const [naming, form] = useDisclosure(false);
  return (
    <>
      <Menu position="bottom-end" width={280} opened={opened} onChange={menu.toggle}>
        <Menu.Target>
          <Tooltip label={t("snapshot.menu")} openDelay={400}>
            <ActionIcon variant="default" size={32} aria-label={t("snapshot.menu")}>
              <IconHistory size={17} />
            </ActionIcon>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown mah="60dvh" style={{ overflowY: "auto" }}>
          <Menu.Item leftSection={<IconCamera size={16} />} onClick={form.open}>
            {t("snapshot.take")}
          </Menu.Item>
          <Menu.Item leftSection={<IconGitFork size={16} />} onClick={() => fork.mutate(undefined)}>
            {t("moment.forkNow")}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Label>{t("snapshot.plural")}</Menu.Label>
          {opened && <Snapshots />}
        </Menu.Dropdown>
      </Menu>
      {naming && <SnapshotForm place={place} onClose={form.close} />}
    </>
  );
}

/** Read each time the menu opens. */
function Snapshots() {
  const { t } = useTranslation();
  const { agentId, sessionId } = usePlace();
  const { data: snapshots, error } = useQuery(snapshotsQuery(agentId, sessionId));
  if (error) return <ProblemAlert error={error} />;
  if (snapshots?.length === 0) {
    return (
      <Text size="sm" c="var(--lh-muted)" px="sm" pb="xs">
        {t("snapshot.none")}
      </Text>
    );
  }
  return snapshots?.map(({ name, at }) => (
    <LinkItem
      key={name}
      to="/agents/$agentId/sessions/$sessionId"
      params={{ agentId, sessionId }}
      search={{ at }}
      rightSection={<small>{t("snapshot.at", { at })}</small>}
    >
      {name}
    </LinkItem>
  ));
}

function SnapshotForm({ place, onClose }: { place: SessionPlace; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const taking = useMutation({
    mutationFn: () =>
      data(
        takeSnapshot({
          path: { agent_id: place.agentId, session_id: place.sessionId },
          body: { name: name.trim() },
        }),
      ),
    onSuccess: (taken) => {
      const { queryKey } = snapshotsQuery(place.agentId, place.sessionId);
      void queries.invalidateQueries({ queryKey });
      toast(t("snapshot.taken", { name: taken.name }));
      onClose();
    },
  });
  const problem = taking.isError ? asProblem(taking.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    taking.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={t("snapshot.title")} centered>
      <form onSubmit={submit}>
        <Stack gap="md">
          <Text size="sm">{t("snapshot.lead")}</Text>
          <TextInput
            label={t("snapshot.name")}
            required
            maxLength={128}
            data-autofocus
            value={name}
            error={problem?.at("name")}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          {problem && <ProblemAlert error={problem} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={taking.isPending}>
              {t("snapshot.save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
