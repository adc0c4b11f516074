/** The posts: what kinds of agents can be made. */
import { Badge, Title } from "@mantine/core";
import { IconIdBadge2, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { postsQuery } from "../api/queries";
import type { Post } from "../api/types";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import { LinkButton } from "../shell/links";
import { Page, PageHeader } from "../shell/PageHeader";
import classes from "./posts.module.css";

export function PostsPage() {
  const { t } = useTranslation();
  const posts = useInfiniteQuery(postsQuery());
  const newPost = (
    <LinkButton to="/posts/new" leftSection={<IconPlus size={16} />}>
      {t("posts.new")}
    </LinkButton>
  );
  return (
    <Page>
      <PageHeader title={t("posts.title")} lead={t("posts.lead")}>
        {newPost}
      </PageHeader>
      <List
        query={posts}
        label={t("posts.title")}
        keyOf={(post) => post.id}
        className={classes.grid}
        empty={
          <EmptyState
            icon={<IconIdBadge2 size={34} stroke={1.4} />}
            title={t("posts.none")}
            action={newPost}
          >
            {t("posts.noneHint")}
          </EmptyState>
        }
      >
        {(post) => <PostCard post={post} />}
      </List>
    </Page>
  );
}

function PostCard({ post }: { post: Post }) {
  const { t } = useTranslation();
  return (
    <article className={classes.card} data-testid="post">
      <div className={classes.head}>
        <Title order={2}>{post.name}</Title>
        <Badge>{t(`permissions.${post.permissions.mode}`)}</Badge>
      </div>
      <p>{post.description}</p>
      <div className={classes.meta}>
        {t("posts.toolCount", { count: post.tools.length })} · {post.model}
      </div>
      <div className={classes.actions}>
        <LinkButton size="xs" variant="default" to="/posts/$postId" params={{ postId: post.id }}>
          {t("action.edit")}
        </LinkButton>
        <LinkButton size="xs" variant="subtle" to="/agents/new" search={{ post: post.id }}>
          {t("agents.new")}
        </LinkButton>
      </div>
    </article>
  );
}
