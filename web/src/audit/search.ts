/** What is looked for in the audit, as the page's address has it. Pure. */
export const OUTCOMES = ["done", "refused"] as const;

export type AuditSearch = {
  action?: string;
  outcome?: (typeof OUTCOMES)[number];
  actor?: string;
  target?: string;
  /** Days, as 2026-01-31: the first and the last. */
  from?: string;
  to?: string;
  /** What belongs to no tenant. */
  server?: boolean;
};

const DAY = /^\d{4}-\d{2}-\d{2}$/;

export function auditSearch(search: Record<string, unknown>): AuditSearch {
  const text = (value: unknown) => (typeof value === "string" && value ? value : undefined);
  const day = (value: unknown) => (isDay(value) ? value : undefined);
  return {
    action: text(search.action),
    outcome: OUTCOMES.find((outcome) => outcome === search.outcome),
    actor: text(search.actor),
    target: text(search.target),
    from: day(search.from),
    to: day(search.to),
    server: search.server === true || undefined,
  };
}

/** A day of the calendar: the 30th of February is none. */
function isDay(value: unknown): value is string {
  if (typeof value !== "string" || !DAY.test(value)) return false;
  const date = new Date(value);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

/** As the API takes it: days are the reader's own, from midnight to midnight. */
export function auditQuery({ from, to, ...rest }: AuditSearch) {
  return {
    ...rest,
    ...(from && { since: new Date(`${from}T00:00`).toISOString() }),
    ...(to && { until: nextMidnight(to).toISOString() }),
  };
}

export function isFiltered({ server: _, ...search }: AuditSearch): boolean {
  return Object.values(search).some((value) => value !== undefined);
}

function nextMidnight(day: string): Date {
  const date = new Date(`${day}T00:00`);
  date.setDate(date.getDate() + 1); // not 24 hours: the clocks may change
  return date;
}
