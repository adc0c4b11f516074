/**
 * Collects what arrives and hands it over once per animation frame, in order. A hidden tab paints
 * no frames, so there a slow timer does it, and the tab's title still counts.
 */
const HIDDEN_TAB_MS = 250;

export type Schedule = (run: () => void) => () => void;

export class FrameQueue<T> {
  #waiting: T[] = [];
  #cancel: (() => void) | null = null;
  readonly #deliver: (items: T[]) => void;
  readonly #schedule: Schedule;

  constructor(deliver: (items: T[]) => void, schedule: Schedule = nextFrame) {
    this.#deliver = deliver;
    this.#schedule = schedule;
  }

  push(item: T): void {
    this.#waiting.push(item);
    this.#cancel ??= this.#schedule(() => this.flush());
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    const items = this.#waiting;
    this.#waiting = [];
    if (items.length > 0) this.#deliver(items);
  }

  /** Forgets what waits and delivers nothing more of it. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#waiting = [];
  }
}

function nextFrame(run: () => void): () => void {
  if (document.hidden) {
    const timer = setTimeout(run, HIDDEN_TAB_MS);
    return () => clearTimeout(timer);
  }
  // A tab that is hidden before the frame comes would never run it: the timer is the safety net.
  const timer = setTimeout(run, HIDDEN_TAB_MS);
  const frame = requestAnimationFrame(() => {
    clearTimeout(timer);
    run();
  });
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  };
}
