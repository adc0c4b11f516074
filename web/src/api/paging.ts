/** Lists that are read page by page: `pages` says how, `useInfiniteQuery` reads, `More` asks on. */
import { infiniteQueryOptions, type QueryKey } from "@tanstack/react-query";

export type Page<T> = { items: T[]; next?: string | null };

/** Rows of one page: two screens, and an answer within a blink. */
export const PAGE_ROWS = 100;

type Options = {
  /** Milliseconds between two looks at one page; a list of more pages is looked at less often. */
  every?: number;
};

/** A list as its rows in one piece. `read` is given the cursor of the page before. */
export function pages<T>(
  queryKey: QueryKey,
  read: (after: string | undefined) => Promise<Page<T>>,
  { every }: Options = {},
) {
  return infiniteQueryOptions({
    queryKey,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Page<T>) => page.next ?? undefined,
    select: ({ pages: read }) => read.flatMap((page) => page.items),
    refetchInterval: every && ((query) => every * Math.max(1, query.state.data?.pages.length ?? 0)),
    placeholderData: (before) => before,
  });
}

/** Every row there is, for choosers that must know them all. */
export async function everyPage<T>(
  read: (after: string | undefined) => Promise<Page<T>>,
): Promise<T[]> {
  const items: T[] = [];
  let after: string | undefined;
  do {
    const page = await read(after);
    items.push(...page.items);
    after = page.next ?? undefined;
  } while (after !== undefined);
  return items;
}
