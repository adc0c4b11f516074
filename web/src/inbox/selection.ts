/** Which approval the keyboard is on. Pure. */
import type { Approval } from "../api/types";

/** What tells two approvals apart: a call's id is its session's own. */
export function idOf(approval: Pick<Approval, "session_id" | "call_id">): string {
  return `${approval.session_id}/${approval.call_id}`;
}

/** The selected one if it still waits; else the one that came into its place; else the first. */
export function selected(ids: readonly string[], wanted: string | null, place: number): number {
  const at = wanted === null ? -1 : ids.indexOf(wanted);
  if (at >= 0) return at;
  return Math.max(0, Math.min(place, ids.length - 1));
}

/** J is down, K is up; at the ends it stays. */
export function moved(at: number, key: string, length: number): number {
  if (key === "j") return Math.min(at + 1, length - 1);
  if (key === "k") return Math.max(at - 1, 0);
  return at;
}
