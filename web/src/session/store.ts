/**
 * One open session: reads it, follows its stream, and keeps its view by `fold`. Outside React, so
 * that nothing is lost or doubled when components come and go; `useSession` subscribes to it.
 */
import type { EventSourceMessage } from "eventsource-parser";
import { getSession, getSessionAt, interruptSession, listEvents, sendMessage } from "../../.client";
import { authorizedFetch, BASE, data } from "../api/http";
import { asProblem, type Problem } from "../api/problem";
import { followStream, type StreamStatus } from "../api/stream";
import { bodiesOf, type Picked } from "./attachments";
import type { Delta, SessionEvent } from "./events";
import { fold, Gap, type Item, open, type SessionView } from "./fold";
import { FrameQueue } from "./frames";

export type SessionSnapshot = {
  readonly view: SessionView | null;
  readonly problem: Problem | null;
  readonly stream: StreamStatus;
  readonly loadingOlder: boolean;
  /** Of a moment of the past: whether a fork may begin there. */
  readonly forkable?: boolean;
};

/** Events of one page: a screen or ten, and one answer of some 100 KB at most. */
const PAGE = 300;

export class SessionStore {
  #snapshot: SessionSnapshot = {
    view: null,
    problem: null,
    stream: "connecting",
    loadingOlder: false,
  };
  readonly #agentId: string;
  readonly #sessionId: string;
  readonly #at: number | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #queue = new FrameQueue<Item>((items) => this.#fold(items));
  #closed = new AbortController();
  /** Aborts the current run of the stream only: after a gap another follows. */
  #run = new AbortController();

  /** `at`: the session as it was after that event, which nothing changes any more. */
  constructor(agentId: string, sessionId: string, at?: number) {
    this.#agentId = agentId;
    this.#sessionId = sessionId;
    this.#at = at;
  }

  get = (): SessionSnapshot => this.#snapshot;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Reads the session and follows it until `stop`. */
  async start(): Promise<void> {
    this.#closed = new AbortController();
    const { signal } = this.#closed;
    this.#set({ problem: null });
    try {
      await (this.#at === undefined ? this.#openNow(signal) : this.#openAt(this.#at, signal));
    } catch (error) {
      if (!signal.aborted) this.#set({ problem: asProblem(error) });
      return;
    }
    if (this.#at === undefined) this.#follow();
  }

  async #openNow(signal: AbortSignal): Promise<void> {
    const session = await data(getSession({ path: this.#path(), signal }));
    const newest = await this.#page(session.last_seq + 1, signal);
    this.#set({ view: open(session, newest) });
  }

  async #openAt(at: number, signal: AbortSignal): Promise<void> {
    const path = { ...this.#path(), seq: at };
    const moment = await data(getSessionAt({ path, signal }));
    const newest = await this.#page(moment.seq + 1, signal);
    const { seq: last_seq, forkable } = moment;
    this.#set({ view: open({ ...moment, last_seq, approvals: [] }, newest), forkable });
  }

  stop(): void {
    this.#closed.abort();
    this.#run.abort();
    this.#queue.clear();
  }

  /** Reads the page before the oldest row. Does nothing at the beginning or while one is read. */
  async loadOlder(): Promise<void> {
    const { view, loadingOlder } = this.#snapshot;
    if (!view || loadingOlder || view.first <= 1) return;
    this.#set({ loadingOlder: true });
    try {
      const events = await this.#page(view.first, this.#closed.signal);
      this.#queue.flush();
      this.#fold([{ kind: "older", events }]);
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#set({ problem: asProblem(error) });
    } finally {
      this.#set({ loadingOlder: false });
    }
  }

  /** Shows the message at once and sends it. A repeat carries the same id, so it counts once. */
  async send(text: string, messageId: string, picked: readonly Picked[] = []): Promise<void> {
    const time = new Date().toISOString();
    this.#fold([{ kind: "sending", message: { messageId, text, picked, time, failed: false } }]);
    try {
      const attachments = await bodiesOf(picked);
      const body = { text, message_id: messageId, ...(picked.length > 0 && { attachments }) };
      await sendMessage({ path: this.#path(), body });
    } catch (error) {
      this.#fold([{ kind: "refused", messageId }]);
      throw asProblem(error);
    }
  }

  drop(messageId: string): void {
    this.#fold([{ kind: "dropped", messageId }]);
  }

  async interrupt(): Promise<void> {
    await interruptSession({ path: this.#path() });
  }

  #follow(): void {
    this.#run = new AbortController();
    const { signal } = this.#run;
    const url = `${BASE}/agents/${this.#agentId}/sessions/${this.#sessionId}/stream`;
    void followStream(
      {
        url,
        signal,
        fetch: authorizedFetch,
        lastEventId: () => {
          this.#queue.flush();
          return this.#snapshot.view?.last ?? 0;
        },
      },
      {
        onMessage: (message) => this.#receive(message),
        onStatus: (stream) => {
          if (signal.aborted) return;
          if (stream === "lost") this.#queue.push({ kind: "reconnected" });
          this.#set({ stream });
        },
        onRefused: (problem) => this.#set({ problem, stream: "lost" }),
      },
    );
  }

  #receive(message: EventSourceMessage): void {
    if (!message.data) return;
    if (message.event === "delta") {
      this.#queue.push({ kind: "delta", delta: JSON.parse(message.data) as Delta });
    } else if (message.id) {
      this.#queue.push({ kind: "event", event: JSON.parse(message.data) as SessionEvent });
    }
  }

  #fold(items: readonly Item[]): void {
    const { view } = this.#snapshot;
    if (!view) return;
    try {
      this.#set({ view: fold(view, items) });
    } catch (error) {
      if (!(error instanceof Gap)) throw error;
      this.#run.abort();
      this.#queue.clear();
      if (!this.#closed.signal.aborted) this.#follow();
    }
  }

  async #page(before: number, signal: AbortSignal): Promise<SessionEvent[]> {
    const query = { before, limit: PAGE };
    const page = await data(listEvents({ path: this.#path(), query, signal }));
    const events = page.items as unknown as SessionEvent[];
    return [...events].sort((one, other) => one.seq - other.seq);
  }

  #path() {
    return { agent_id: this.#agentId, session_id: this.#sessionId };
  }

  #set(change: Partial<SessionSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}
