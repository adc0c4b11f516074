/** Allows a call, and gives its agent a rule so that it need not ask for such a call again. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { getAgent, getPost, updateAgent } from "../../.client";
import { withRule } from "../agents/draft";
import { data } from "../api/http";
import { whole } from "../api/types";
import { ProblemAlert } from "../shell/ProblemAlert";

type Props = {
  agentId: string;
  /** What is suggested; a person may loosen it. */
  pattern: string;
  onClose: () => void;
  onAllow: () => void;
};

export function AlwaysAllow({ agentId, pattern: suggested, onClose, onAllow }: Props) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [pattern, setPattern] = useState(suggested);
  const remembering = useMutation({
    mutationFn: () => addRule(agentId, pattern.trim()),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["agents", agentId], exact: true });
      onAllow();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    remembering.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={t("always.title")} centered>
      <form onSubmit={submit}>
        <Stack gap="md">
          <Text size="sm">{t("always.lead")}</Text>
          <TextInput
            label={t("posts.pattern")}
            description={t("always.patternHint")}
            required
            data-autofocus
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
            value={pattern}
            onChange={(event) => setPattern(event.currentTarget.value)}
          />
          {remembering.isError && <ProblemAlert error={remembering.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={remembering.isPending}>
              {t("always.allow")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** Overrides replace what the post says, so the agent's own rules begin with those of its post. */
async function addRule(agentId: string, pattern: string): Promise<void> {
  const agent = await data(getAgent({ path: { agent_id: agentId } }));
  const post = whole(await data(getPost({ path: { post_id: agent.post.id } })));
  const overrides = withRule(agent, post, { verdict: "allow", pattern });
  await updateAgent({ path: { agent_id: agentId }, body: { overrides } });
}
