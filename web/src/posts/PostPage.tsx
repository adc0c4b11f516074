/** Makes or edits a post: words, tools, permissions and limits. */
import {
  Autocomplete,
  Button,
  Checkbox,
  Group,
  NumberInput,
  Skeleton,
  Stack,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { createPost, deletePost, updatePost } from "../../.client";
import { data } from "../api/http";
import { asProblem, type Problem } from "../api/problem";
import { modelsQuery, postQuery, toolsQuery } from "../api/queries";
import type { Post } from "../api/types";
import { ConfirmByName } from "../shell/ConfirmByName";
import { LinkButton } from "../shell/links";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { toast } from "../shell/toast";
import { Unsaved } from "../shell/Unsaved";
import { draftOf, EMPTY_DRAFT, LIMIT_NAMES, type PostDraft, requestOf } from "./draft";
import { PermissionsEditor } from "./PermissionsEditor";
import classes from "./posts.module.css";

const route = getRouteApi("/app/posts/$postId");

type Change = (change: Partial<PostDraft>) => void;
type PartProps = { draft: PostDraft; change: Change; problem: Problem | null };

export function NewPostPage() {
  const { t } = useTranslation();
  return (
    <Page narrow>
      <PageHeader title={t("posts.new")} lead={t("posts.newLead")} />
      <PostForm initial={EMPTY_DRAFT} post={null} />
    </Page>
  );
}

export function PostPage() {
  const { t } = useTranslation();
  const { postId } = route.useParams();
  const { data: post, error, refetch } = useQuery(postQuery(postId));
  return (
    <Page narrow>
      {error && <ProblemAlert error={error} onRetry={() => void refetch()} />}
      {!post && !error && <Skeleton height={320} />}
      {post && (
        <>
          <PageHeader title={post.name} lead={t("posts.version", { version: post.version })} />
          <PostForm key={post.id} initial={draftOf(post)} post={post} />
        </>
      )}
    </Page>
  );
}

function PostForm({ initial, post }: { initial: PostDraft; post: Post | null }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [before] = useState(initial);
  const [draft, setDraft] = useState(before);
  const [asking, question] = useDisclosure(false);
  const change: Change = (part) => setDraft((before) => ({ ...before, ...part }));
  const saving = useMutation({
    mutationFn: () => {
      const body = requestOf(draft);
      return post
        ? data(updatePost({ path: { post_id: post.id }, body }))
        : data(createPost({ body }));
    },
    onSuccess: (saved) => {
      queries.setQueryData(["posts", saved.id], saved);
      void queries.invalidateQueries({ queryKey: ["posts", "list"] });
      toast(t("posts.saved", { name: saved.name, version: saved.version }));
      void navigate({ to: "/posts", ignoreBlocker: true });
    },
  });
  const problem = saving.isError ? asProblem(saving.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    saving.mutate();
  };
  const parts = { draft, change, problem };
  return (
    <form onSubmit={submit}>
      <Words {...parts} />
      <Tools {...parts} />
      <PermissionsPart {...parts} />
      <HostsPart {...parts} />
      {draft.limits && <LimitsPart {...parts} />}
      <Stack gap="md">
        {problem && <ProblemAlert error={problem} />}
        <Group>
          <Button type="submit" loading={saving.isPending}>
            {t("action.save")}
          </Button>
          <LinkButton variant="subtle" color="gray" to="/posts">
            {t("action.cancel")}
          </LinkButton>
          {post && (
            <Button ml="auto" variant="subtle" color="red" onClick={question.open}>
              {t("posts.delete")}
            </Button>
          )}
        </Group>
      </Stack>
      <Unsaved when={draft !== before} />
      {post && <DeletePost post={post} opened={asking} onClose={question.close} />}
    </form>
  );
}

function Words({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  const models = useQuery(modelsQuery());
  const names = (models.data?.items ?? []).map((model) => model.name);
  return (
    <fieldset className={classes.section}>
      <legend>{t("posts.words")}</legend>
      <Stack gap="md" mt="xs">
        <TextInput
          label={t("posts.name")}
          required
          value={draft.name}
          error={problem?.at("name")}
          onChange={(event) => change({ name: event.currentTarget.value })}
        />
        <TextInput
          label={t("posts.description")}
          value={draft.description}
          error={problem?.at("description")}
          onChange={(event) => change({ description: event.currentTarget.value })}
        />
        <Textarea
          label={t("posts.prompt")}
          description={t("posts.promptHint")}
          className={classes.mono}
          autosize
          minRows={5}
          maxRows={22}
          value={draft.prompt}
          error={problem?.at("prompt")}
          onChange={(event) => change({ prompt: event.currentTarget.value })}
        />
        <Autocomplete
          label={t("posts.model")}
          description={t("posts.modelHint", { meaning: models.data?.default ?? "…" })}
          data={[...new Set(["auto", ...names])]}
          value={draft.model}
          error={problem?.at("model")}
          onChange={(model) => change({ model })}
        />
      </Stack>
    </fieldset>
  );
}

function Tools({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  const { data: tools } = useQuery(toolsQuery());
  return (
    <fieldset className={classes.section}>
      <legend>{t("posts.tools")}</legend>
      <p>{t("posts.toolsHint")}</p>
      <Checkbox.Group
        value={draft.tools}
        onChange={(chosen) => change({ tools: chosen })}
        error={problem?.at("tools")}
        aria-label={t("posts.tools")}
      >
        <div className={classes.tools}>
          {tools?.map((tool) => (
            <Checkbox
              key={tool.name}
              value={tool.name}
              label={tool.name}
              description={tool.description.split("\n")[0]}
            />
          ))}
        </div>
      </Checkbox.Group>
    </fieldset>
  );
}

function PermissionsPart({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  return (
    <fieldset className={classes.section}>
      <legend>{t("posts.permissions")}</legend>
      <PermissionsEditor
        value={draft.permissions}
        onChange={(permissions) => change({ permissions })}
        errorAt={(rule) => problem?.at(`permissions.rules.${rule}`)}
      />
    </fieldset>
  );
}

function HostsPart({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  return (
    <fieldset className={classes.section}>
      <legend>{t("posts.hosts")}</legend>
      <Textarea
        aria-label={t("posts.hosts")}
        description={t("posts.hostsHint")}
        className={classes.mono}
        autosize
        minRows={2}
        maxRows={12}
        value={draft.hosts.join("\n")}
        error={problem?.at("hosts")}
        onChange={(event) => change({ hosts: event.currentTarget.value.split("\n") })}
      />
    </fieldset>
  );
}

function LimitsPart({ draft, change, problem }: PartProps) {
  const { t } = useTranslation();
  const { limits } = draft;
  if (!limits) return null;
  return (
    <fieldset className={classes.section}>
      <legend>{t("posts.limits")}</legend>
      <p>{t("posts.limitsHint")}</p>
      <div className={classes.limits}>
        {LIMIT_NAMES.map((name) => (
          <NumberInput
            key={name}
            label={t(`limits.${name}`)}
            min={1}
            allowDecimal={false}
            thousandSeparator=","
            value={limits[name]}
            error={problem?.at(`limits.${name}`)}
            onChange={(value) =>
              typeof value === "number" && change({ limits: { ...limits, [name]: value } })
            }
          />
        ))}
      </div>
    </fieldset>
  );
}

type DeleteProps = { post: Post; opened: boolean; onClose: () => void };

function DeletePost({ post, opened, onClose }: DeleteProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const deletion = useMutation({
    mutationFn: () => deletePost({ path: { post_id: post.id } }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["posts", "list"] });
      void navigate({ to: "/posts", ignoreBlocker: true });
    },
  });
  return (
    <ConfirmByName
      opened={opened}
      onClose={onClose}
      title={t("posts.deleteTitle", { name: post.name })}
      loss={t("posts.deleteLoss")}
      name={post.name}
      action={t("posts.delete")}
      pending={deletion.isPending}
      error={deletion.error}
      onConfirm={() => deletion.mutate()}
    />
  );
}
