/**
 * Follows a server-sent event stream for as long as it is wanted: reconnects with Last-Event-ID,
 * says whether it is live, and notices a connection that died without a word. It knows nothing of
 * what the events mean; `session/useSession` does.
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { Problem, problemFrom } from "./problem";

export type StreamStatus = "connecting" | "live" | "lost";

export type StreamHandlers = {
  onMessage: (message: EventSourceMessage) => void;
  onStatus: (status: StreamStatus) => void;
  /** The server refused for good (404, 403): nothing more will come. */
  onRefused: (problem: Problem) => void;
};

export type StreamOptions = {
  url: string;
  /** The last id already known; the stream starts behind it. */
  lastEventId: () => number;
  signal: AbortSignal;
  fetch: (input: string, init: RequestInit) => Promise<Response>;
  /** Waits before a retry; tests do not. */
  pause?: (delay: number, signal: AbortSignal) => Promise<void>;
};

/** Milliseconds without a byte, three missed beats of the server, after which a stream is dead. */
export const SILENCE_MS = 50_000;
const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 10_000;

/** Runs until `signal` aborts or the server refuses. Never rejects. */
export async function followStream(options: StreamOptions, handlers: StreamHandlers) {
  const pause = options.pause ?? waitToRetry;
  let failures = 0;
  while (!options.signal.aborted) {
    handlers.onStatus(failures === 0 ? "connecting" : "lost");
    try {
      await readOnce(options, handlers, () => {
        failures = 0;
        handlers.onStatus("live");
      });
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof Problem && isFinal(error.status)) {
        handlers.onRefused(error);
        return;
      }
    }
    if (options.signal.aborted) return;
    failures += 1;
    handlers.onStatus("lost");
    await pause(retryDelay(failures), options.signal);
  }
}

/** Milliseconds before attempt `failures + 1`: doubling, with jitter, so that tabs do not march. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
  return ceiling * (0.5 + random() / 2);
}

async function readOnce(options: StreamOptions, handlers: StreamHandlers, onOpen: () => void) {
  const connection = new AbortController();
  const stop = () => connection.abort();
  options.signal.addEventListener("abort", stop);
  let watchdog = setTimeout(stop, SILENCE_MS);
  try {
    const last = options.lastEventId();
    const response = await options.fetch(options.url, {
      headers: { Accept: "text/event-stream", "Last-Event-ID": String(last) },
      signal: connection.signal,
      cache: "no-store",
    });
    if (!response.ok || !response.body) {
      throw problemFrom(await response.json().catch(() => null), response);
    }
    onOpen();
    const parser = createParser({ onEvent: handlers.onMessage });
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(watchdog);
    connection.abort();
    options.signal.removeEventListener("abort", stop);
  }
}

function isFinal(status: number): boolean {
  return status === 401 || status === 403 || status === 404;
}

/** Waits, but no longer than until the machine is online again, awake again, or nobody cares. */
function waitToRetry(delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      globalThis.removeEventListener?.("online", wake);
      globalThis.document?.removeEventListener("visibilitychange", wake);
      resolve();
    };
    const timer = setTimeout(wake, delay);
    signal.addEventListener("abort", wake);
    globalThis.addEventListener?.("online", wake);
    globalThis.document?.addEventListener("visibilitychange", wake);
  });
}
