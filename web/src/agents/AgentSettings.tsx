/** What an agent is called, which post it follows, and what it does differently from it. */
import {
  Alert,
  Autocomplete,
  Button,
  Group,
  Radio,
  Select,
  Skeleton,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { updateAgent } from "../../.client";
import { data } from "../api/http";
import { asProblem } from "../api/problem";
import { agentQuery, allPostsQuery, modelsQuery } from "../api/queries";
import type { Agent, Post } from "../api/types";
import { PermissionsEditor } from "../posts/PermissionsEditor";
import { ProblemAlert } from "../shell/ProblemAlert";
import { toast } from "../shell/toast";
import { Unsaved } from "../shell/Unsaved";
import classes from "./agents.module.css";
import { type AgentDraft, changesOf, draftOf } from "./draft";

const route = getRouteApi("/app/agents/$agentId/settings");

export function AgentSettings() {
  const { agentId } = route.useParams();
  const agent = useQuery(agentQuery(agentId));
  const posts = useQuery(allPostsQuery());
  const error = agent.error ?? posts.error;
  if (agent.data && posts.data) {
    return <SettingsForm key={agentId} agent={agent.data} posts={posts.data} />;
  }
  if (!error) return <Skeleton height={320} />;
  const retry = () => void Promise.all([agent.refetch(), posts.refetch()]);
  return <ProblemAlert error={error} onRetry={retry} />;
}

function SettingsForm({ agent, posts }: { agent: Agent; posts: Post[] }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [before, setBefore] = useState(() => draftOf(agent));
  const [draft, setDraft] = useState(before);
  const change = (part: Partial<AgentDraft>) => setDraft((now) => ({ ...now, ...part }));
  const changes = changesOf(before, draft);
  const dirty = Object.keys(changes).length > 0;
  const post = posts.find((one) => one.id === draft.postId);
  const saving = useMutation({
    mutationFn: () => data(updateAgent({ path: { agent_id: agent.id }, body: changes })),
    onSuccess: (saved) => {
      queries.setQueryData(agentQuery(agent.id).queryKey, saved);
      void queries.invalidateQueries({ queryKey: ["agents", "list"] });
      setBefore(draftOf(saved));
      setDraft(draftOf(saved));
      toast(t("settings.saved", { name: saved.name }));
    },
  });
  const problem = saving.isError ? asProblem(saving.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    saving.mutate();
  };
  return (
    <form className={classes.settings} onSubmit={submit}>
      <fieldset className={classes.section}>
        <legend>{t("agents.who")}</legend>
        <Stack gap="md">
          <TextInput
            label={t("agents.name")}
            required
            maxLength={100}
            value={draft.name}
            error={problem?.at("name")}
            onChange={(event) => change({ name: event.currentTarget.value })}
          />
          <Select
            label={t("agents.post")}
            description={t("settings.postHint")}
            searchable
            allowDeselect={false}
            nothingFoundMessage={t("settings.noPost")}
            data={posts.map((one) => ({ value: one.id, label: one.name }))}
            value={draft.postId}
            error={problem?.at("post_id")}
            onChange={(postId) => postId && change({ postId })}
          />
        </Stack>
      </fieldset>
      <ModelPart
        post={post}
        model={draft.model}
        change={change}
        error={problem?.at("overrides.model")}
      />
      <fieldset className={classes.section}>
        <legend>{t("posts.permissions")}</legend>
        <Choice
          own={draft.permissions !== null}
          inherited={post ? <PermissionsWords post={post} /> : null}
          onChange={(own) =>
            change({ permissions: own ? (post?.permissions ?? { mode: "ask", rules: [] }) : null })
          }
        >
          {draft.permissions && (
            <PermissionsEditor
              value={draft.permissions}
              onChange={(permissions) => change({ permissions })}
              errorAt={(rule) => problem?.at(`overrides.permissions.rules.${rule}`)}
            />
          )}
        </Choice>
      </fieldset>
      <Stack gap="md" mt="xl">
        {problem && <ProblemAlert error={problem} />}
        <Group>
          <Button type="submit" disabled={!dirty} loading={saving.isPending}>
            {t("action.save")}
          </Button>
          {dirty && (
            <Button variant="subtle" color="gray" onClick={() => setDraft(before)}>
              {t("action.discard")}
            </Button>
          )}
          <Text size="sm" c="var(--lh-muted)">
            {t("settings.when")}
          </Text>
        </Group>
      </Stack>
      <Unsaved when={dirty} />
    </form>
  );
}

type ModelProps = {
  post: Post | undefined;
  model: string | null;
  change: (part: Partial<AgentDraft>) => void;
  error: string | undefined;
};

function ModelPart({ post, model, change, error }: ModelProps) {
  const { t } = useTranslation();
  const { data: models } = useQuery(modelsQuery());
  const named = model ?? post?.model ?? "auto";
  const used = named === "auto" ? (models?.default ?? "…") : named;
  const missing = models?.items.find((one) => one.name === used && !one.available);
  return (
    <fieldset className={classes.section}>
      <legend>{t("agents.model")}</legend>
      <Choice
        own={model !== null}
        inherited={<code>{post?.model}</code>}
        onChange={(own) => change({ model: own ? (post?.model ?? "auto") : null })}
      >
        {model !== null && (
          <Autocomplete
            aria-label={t("agents.model")}
            required
            data={[...new Set(["auto", ...(models?.items ?? []).map((one) => one.name)])]}
            value={model}
            error={error}
            onChange={(name) => change({ model: name })}
          />
        )}
      </Choice>
      <Text size="sm" mt="sm" data-testid="effective-model">
        <Trans
          i18nKey={
            named === "auto"
              ? "settings.effective.auto"
              : model === null
                ? "settings.effective.post"
                : "settings.effective.own"
          }
          values={{ model: used }}
          components={{ code: <code /> }}
        />
      </Text>
      {missing && (
        <Alert mt="sm" color="yellow" title={t("settings.unavailable", { model: used })}>
          {missing.reason}
        </Alert>
      )}
    </fieldset>
  );
}

/** The post's rules in one line: the mode, and how many rules stand before it. */
function PermissionsWords({ post }: { post: Post }) {
  const { t } = useTranslation();
  const { mode, rules } = post.permissions;
  return (
    <>
      {t(`permissions.${mode}`)}
      {rules.length > 0 && ` · ${t("settings.rules", { count: rules.length })}`}
    </>
  );
}

type ChoiceProps = {
  own: boolean;
  /** What the post says. */
  inherited: ReactNode;
  onChange: (own: boolean) => void;
  children: ReactNode;
};

/** As the post says, or something of one's own. */
function Choice({ own, inherited, onChange, children }: ChoiceProps) {
  const { t } = useTranslation();
  return (
    <Radio.Group value={own ? "own" : "post"} onChange={(value) => onChange(value === "own")}>
      <Stack gap="sm">
        <Radio
          value="post"
          label={
            <>
              {t("settings.asPost")} <span className={classes.inherited}>{inherited}</span>
            </>
          }
        />
        <Radio value="own" label={t("settings.own")} />
        {own && <div className={classes.own}>{children}</div>}
      </Stack>
    </Radio.Group>
  );
}
