/**
 * Why a person is asked. The server says it in one of two short forms (`mode: ask`,
 * `rule: ask bash_run(git *)`) or, from a hook, in words of its own; before it may stand which
 * sub-agent asks. Pure.
 */
export type Reason =
  | { kind: "mode"; mode: "ask" | "auto" | "read_only" }
  | { kind: "rule"; pattern: string }
  | { kind: "delegated"; post: string; reason: Reason }
  | { kind: "words"; text: string };

export function parseReason(text: string): Reason {
  const delegated = /^sub-agent of post (.+?): (.+)$/s.exec(text);
  if (delegated?.[1] && delegated[2]) {
    return { kind: "delegated", post: delegated[1], reason: parseReason(delegated[2]) };
  }
  const mode = /^mode: (ask|auto|read_only)$/.exec(text)?.[1];
  if (mode) return { kind: "mode", mode: mode as "ask" | "auto" | "read_only" };
  const pattern = /^rule: \w+ (.+)$/s.exec(text)?.[1];
  return pattern ? { kind: "rule", pattern } : { kind: "words", text };
}
