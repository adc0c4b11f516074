/** The tab's title: how many approvals wait, then the page. */
import { useEffect } from "react";

const NAME = "Longhouse";
let page = "";
let waiting = 0;

export function usePageTitle(title: string): void {
  useEffect(() => {
    page = title;
    show();
  }, [title]);
}

export function showWaiting(count: number): void {
  waiting = count;
  show();
}

export function titleOf(pageTitle: string, count: number): string {
  const place = pageTitle ? `${pageTitle} · ${NAME}` : NAME;
  return count > 0 ? `(${count}) ${place}` : place;
}

function show(): void {
  document.title = titleOf(page, waiting);
}
