/** A time told from now, with the exact one on hover. All of them tick together. */
import { useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { exactTime, relativeTime } from "./format";

const TICK_MS = 20_000;
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer) {
      clearInterval(timer);
      timer = null;
    }
  };
}

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

export function Time({ time }: { time: string }) {
  const { i18n } = useTranslation();
  const current = useSyncExternalStore(subscribe, () => now);
  const moment = Math.max(current, Date.parse(time));
  return (
    <time dateTime={time} title={exactTime(time, i18n.language)}>
      {relativeTime(time, moment, i18n.language)}
    </time>
  );
}
