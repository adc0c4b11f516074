/** The end of a list that has more: reads on as it comes into view, or at the press of a button. */
import { Button } from "@mantine/core";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import classes from "./list.module.css";
import { ProblemAlert } from "./ProblemAlert";

/** Pixels below the screen at which the next page is already read. */
const AHEAD = 800;

type Props = {
  query: {
    hasNextPage: boolean;
    isFetching: boolean;
    isFetchingNextPage: boolean;
    isFetchNextPageError: boolean;
    error: unknown;
    fetchNextPage: () => unknown;
  };
};

export function More({ query }: Props) {
  const { t } = useTranslation();
  const end = useRef<HTMLDivElement>(null);
  const latest = useRef(query);
  latest.current = query;
  const { hasNextPage, isFetchNextPageError, isFetchingNextPage } = query;
  useEffect(() => {
    const element = end.current;
    if (!element || !hasNextPage || isFetchNextPageError || isFetchingNextPage) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) void latest.current.fetchNextPage();
      },
      { root: document.getElementById("main"), rootMargin: `${AHEAD}px` },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [hasNextPage, isFetchNextPageError, isFetchingNextPage]);
  if (!hasNextPage) return null;
  const load = () => void query.fetchNextPage();
  return (
    <div ref={end} className={classes.more}>
      {isFetchNextPageError ? (
        <ProblemAlert error={query.error} onRetry={load} />
      ) : (
        <Button variant="default" size="xs" loading={isFetchingNextPage} onClick={load}>
          {t("action.showMore")}
        </Button>
      )}
    </div>
  );
}
