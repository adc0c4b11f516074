/** Makes an agent from a post: who, where it works, and with what model. */
import {
  Autocomplete,
  Badge,
  Button,
  Group,
  Radio,
  SegmentedControl,
  Skeleton,
  Stack,
  Text,
  TextInput,
  useMatches,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { createAgent, createSession } from "../../.client";
import { data } from "../api/http";
import { asProblem } from "../api/problem";
import { agentNamesQuery, allPostsQuery, modelsQuery } from "../api/queries";
import type { Post } from "../api/types";
import { LinkButton } from "../shell/links";
import { Page, PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import classes from "./agents.module.css";
import { suggestName } from "./names";

const route = getRouteApi("/app/agents/new");
const PLACES = ["sample", "repository", "none"] as const;
type Place = (typeof PLACES)[number];

export function NewAgentPage() {
  const { t } = useTranslation();
  const posts = useQuery(allPostsQuery());
  return (
    <Page narrow>
      <PageHeader title={t("agents.new")} lead={t("agents.newLead")} />
      {posts.error && <ProblemAlert error={posts.error} onRetry={() => void posts.refetch()} />}
      {posts.isPending && <Skeleton height={320} />}
      {posts.data && <NewAgentForm posts={posts.data} />}
    </Page>
  );
}

function NewAgentForm({ posts }: { posts: Post[] }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const wanted = route.useSearch().post;
  const [postId, setPostId] = useState((posts.find((one) => one.id === wanted) ?? posts[0])?.id);
  const post = posts.find((one) => one.id === postId);
  const [ownName, setName] = useState<string | null>(null);
  const { data: taken } = useQuery(agentNamesQuery(post?.name ?? ""));
  const name = ownName ?? (taken ? suggestName(post?.name ?? "", taken) : "");
  const [place, setPlace] = useState<Place>("sample");
  const [source, setSource] = useState("");
  const [ref, setRef] = useState("");
  const [model, setModel] = useState("");
  const models = useQuery(modelsQuery());
  const orientation = useMatches<"vertical" | "horizontal">({
    base: "vertical",
    xs: "horizontal",
  });

  const creation = useMutation({
    mutationFn: async () => {
      const agent = await data(
        createAgent({
          body: {
            name: name.trim(),
            post_id: postId ?? "",
            ...(model.trim() && { overrides: { model: model.trim() } }),
            ...(place === "sample" && { repository: { source: "sample" } }),
            ...(place === "repository" && {
              repository: { source: source.trim(), ...(ref.trim() && { ref: ref.trim() }) },
            }),
          },
        }),
      );
      return data(createSession({ path: { agent_id: agent.id }, body: {} }));
    },
    onSuccess: (session) => {
      void queries.invalidateQueries({ queryKey: ["agents"] });
      void navigate({
        to: "/agents/$agentId/sessions/$sessionId",
        params: { agentId: session.agent_id, sessionId: session.id },
      });
    },
  });
  const problem = creation.isError ? asProblem(creation.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    creation.mutate();
  };

  return (
    <form onSubmit={submit}>
      <fieldset className={classes.section}>
        <legend>{t("agents.post")}</legend>
        <Radio.Group value={postId} onChange={setPostId}>
          <div className={classes.choices}>
            {posts.map((one) => (
              <Radio.Card
                key={one.id}
                value={one.id}
                className={classes.choice}
                aria-label={one.name}
              >
                <span className={classes.choiceHead}>
                  <Radio.Indicator size="xs" />
                  {one.name}
                  <Badge ml="auto">{t(`permissions.${one.permissions.mode}`)}</Badge>
                </span>
                <p>{one.description}</p>
              </Radio.Card>
            ))}
          </div>
        </Radio.Group>
      </fieldset>

      <fieldset className={classes.section}>
        <legend>{t("agents.who")}</legend>
        <TextInput
          label={t("agents.name")}
          required
          maxLength={80}
          value={name}
          error={problem?.at("name")}
          onChange={(event) => setName(event.currentTarget.value)}
        />
      </fieldset>

      <fieldset className={classes.section}>
        <legend>{t("agents.workplace")}</legend>
        <Stack gap="sm">
          <SegmentedControl
            fullWidth
            orientation={orientation}
            aria-label={t("agents.workplace")}
            data={PLACES.map((value) => ({ value, label: t(`agents.place.${value}`) }))}
            value={place}
            onChange={(value) => setPlace(value as Place)}
          />
          <Text size="sm" c="var(--lh-muted)">
            {t(`agents.placeHint.${place}`)}
          </Text>
          {place === "repository" && (
            <Group align="flex-start" gap="sm">
              <TextInput
                flex="1 1 280px"
                label={t("agents.source")}
                placeholder="/srv/git/project, https://host/project.git"
                required
                value={source}
                error={problem?.at("repository.source")}
                onChange={(event) => setSource(event.currentTarget.value)}
              />
              <TextInput
                flex="0 1 180px"
                label={t("agents.ref")}
                placeholder="main"
                value={ref}
                error={problem?.at("repository.ref")}
                onChange={(event) => setRef(event.currentTarget.value)}
              />
            </Group>
          )}
        </Stack>
      </fieldset>

      <fieldset className={classes.section}>
        <legend>{t("agents.model")}</legend>
        <Autocomplete
          label={t("agents.modelOverride")}
          description={t("agents.modelHint", {
            model: post?.model ?? "auto",
            meaning: models.data?.default ?? "…",
          })}
          placeholder={post?.model}
          data={(models.data?.items ?? []).filter((one) => one.available).map((one) => one.name)}
          value={model}
          error={problem?.at("overrides.model")}
          onChange={setModel}
        />
      </fieldset>

      <Stack mt="xl" gap="md">
        {problem && <ProblemAlert error={problem} />}
        <Group>
          <Button type="submit" loading={creation.isPending} disabled={!post}>
            {t("agents.create")}
          </Button>
          <LinkButton variant="subtle" color="gray" to="/agents">
            {t("action.cancel")}
          </LinkButton>
          {creation.isPending && (
            <Text size="sm" c="var(--lh-muted)" role="status">
              {t("agents.preparing")}
            </Text>
          )}
        </Group>
      </Stack>
    </form>
  );
}
