/** What the agent changed in its workspace: to read, to download, to commit to a branch. */
import { Button, Group, Modal, Skeleton, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload, IconFolderOff, IconGitBranch, IconGitCommit } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { commitWorkspace, getWorkspaceDiff } from "../../.client";
import { data } from "../api/http";
import { asProblem } from "../api/problem";
import { diffQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { DiffView } from "../diff/DiffView";
import { DiffBadge } from "../shell/DiffBadge";
import { saveFile } from "../shell/download";
import { EmptyState } from "../shell/EmptyState";
import { ProblemAlert } from "../shell/ProblemAlert";
import { toast, toastProblem } from "../shell/toast";
import classes from "./session.module.css";

export function Changes({ agent, revision }: { agent: Agent; revision: number }) {
  const { t } = useTranslation();
  const { data: diff, error, refetch } = useQuery(diffQuery(agent.id, revision));
  const [opened, form] = useDisclosure(false);
  const download = useMutation({ mutationFn: () => downloadPatch(agent), onError: toastProblem });
  const additions = diff?.files.reduce((sum, file) => sum + (file.additions ?? 0), 0) ?? 0;
  const deletions = diff?.files.reduce((sum, file) => sum + (file.deletions ?? 0), 0) ?? 0;
  return (
    <div className={classes.changes} data-testid="changes">
      <div className={classes.changesInner}>
        {error && <ProblemAlert error={error} onRetry={() => void refetch()} />}
        {!diff && !error && <Skeleton height={160} />}
        {diff?.files.length === 0 && (
          <EmptyState icon={<IconFolderOff size={34} stroke={1.4} />} title={t("changes.none")}>
            {t("changes.noneHint")}
          </EmptyState>
        )}
        {diff && diff.files.length > 0 && (
          <>
            <div className={classes.changesHead}>
              <p>
                <Trans
                  i18nKey="changes.summary"
                  count={diff.files.length}
                  values={{ base: shortCommit(diff.base) }}
                  components={{ code: <code /> }}
                />{" "}
                <DiffBadge additions={additions} deletions={deletions} />
              </p>
              <Button
                size="xs"
                variant="default"
                leftSection={<IconDownload size={15} />}
                loading={download.isPending}
                onClick={() => download.mutate()}
              >
                {t("changes.download")}
              </Button>
              <Button size="xs" leftSection={<IconGitBranch size={15} />} onClick={form.open}>
                {t("changes.commit")}
              </Button>
            </div>
            <DiffView patch={diff.patch} />
          </>
        )}
      </div>
      <CommitForm
        key={String(opened)}
        agent={agent}
        branch={diff?.branch ?? ""}
        opened={opened}
        onClose={form.close}
      />
    </div>
  );
}

type CommitProps = { agent: Agent; branch: string; opened: boolean; onClose: () => void };

function CommitForm({ agent, branch: suggested, opened, onClose }: CommitProps) {
  const { t } = useTranslation();
  const [branch, setBranch] = useState(suggested);
  const [message, setMessage] = useState(() => t("changes.defaultMessage", { agent: agent.name }));
  const commit = useMutation({
    mutationFn: () =>
      data(
        commitWorkspace({
          path: { agent_id: agent.id },
          body: { branch: branch.trim(), message: message.trim() },
        }),
      ),
    onSuccess: (made) => {
      toast(t("changes.committed", { branch: made.branch, commit: made.commit.slice(0, 8) }));
      onClose();
    },
  });
  const problem = commit.isError ? asProblem(commit.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    commit.mutate();
  };
  return (
    <Modal opened={opened} onClose={onClose} title={t("changes.commitTitle")} centered>
      <form onSubmit={submit}>
        <Stack gap="md">
          <TextInput
            label={t("changes.branch")}
            required
            data-autofocus
            value={branch}
            error={problem?.at("branch")}
            onChange={(event) => setBranch(event.currentTarget.value)}
          />
          <TextInput
            label={t("changes.message")}
            required
            value={message}
            error={problem?.at("message")}
            onChange={(event) => setMessage(event.currentTarget.value)}
          />
          {problem && <ProblemAlert error={problem} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button
              type="submit"
              loading={commit.isPending}
              leftSection={<IconGitCommit size={16} />}
            >
              {t("changes.commitNow")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** A commit by its first letters; a branch as it is. */
function shortCommit(name: string): string {
  return /^[0-9a-f]{40,}$/.test(name) ? name.slice(0, 8) : name;
}

/** By `fetch`, because a plain link could not carry the access token. */
async function downloadPatch(agent: Agent): Promise<void> {
  const patch = await data(
    getWorkspaceDiff({
      path: { agent_id: agent.id },
      query: { format: "patch" },
      parseAs: "text",
    }),
  );
  saveFile(`${fileName(agent.name)}.patch`, String(patch), "text/x-diff");
}

function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "workspace";
}
