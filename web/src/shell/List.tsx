/**
 * A list page's list, in all it can be: not read yet, refused, empty, rows, and more of them. The
 * row's own look is its caller's; `list.module.css` has what rows share.
 */
import { Skeleton, Stack } from "@mantine/core";
import type { Key, ReactNode } from "react";
import classes from "./list.module.css";
import { More } from "./More";
import { ProblemAlert } from "./ProblemAlert";

type Query<T> = {
  data: readonly T[] | undefined;
  error: unknown;
  refetch: () => unknown;
  hasNextPage: boolean;
  isFetching: boolean;
  isFetchingNextPage: boolean;
  isFetchNextPageError: boolean;
  fetchNextPage: () => unknown;
};

type Props<T> = {
  query: Query<T>;
  label: string;
  keyOf: (row: T) => Key;
  /** Stands in place of the list when there is nothing. */
  empty: ReactNode;
  /** Class of the list itself, where rows are no lines. */
  className?: string;
  children: (row: T) => ReactNode;
};

export function List<T>({ query, label, keyOf, empty, className, children }: Props<T>) {
  const { data: rows, error, isFetchNextPageError } = query;
  return (
    <>
      {Boolean(error) && !isFetchNextPageError && (
        <ProblemAlert error={error} onRetry={() => void query.refetch()} />
      )}
      {!rows && !error && <Placeholder />}
      {rows?.length === 0 && empty}
      {rows && rows.length > 0 && (
        <ul className={className ?? classes.list} aria-label={label}>
          {rows.map((row) => (
            <li key={keyOf(row)}>{children(row)}</li>
          ))}
        </ul>
      )}
      <More query={query} />
    </>
  );
}

export function Placeholder({ rows = 3 }: { rows?: number }) {
  return (
    <Stack gap={0} className={classes.list} aria-hidden>
      {Array.from({ length: rows }, (_, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <div key={at} className={classes.placeholder}>
          <Skeleton height={14} width={`${32 - at * 5}%`} />
          <Skeleton height={10} width={`${20 - at * 3}%`} />
        </div>
      ))}
    </Stack>
  );
}
