/**
 * Who this tab is signed in as. The access token lives in memory only; the refresh token is an
 * HttpOnly cookie that no script can read. One refresh runs at a time, however many requests met
 * a 401, because the server revokes a login whose old refresh token comes a second time.
 */
import type { Tokens } from "./types";

type Listener = (tokens: Tokens | null) => void;

export class Credentials {
  #tokens: Tokens | null = null;
  #refreshing: Promise<Tokens | null> | null = null;
  readonly #listeners = new Set<Listener>();
  readonly #exchange: () => Promise<Tokens | null>;

  /** `exchange` trades the cookie for tokens; null means signed out; it throws when it cannot know. */
  constructor(exchange: () => Promise<Tokens | null>) {
    this.#exchange = exchange;
  }

  get token(): string | null {
    return this.#tokens?.access_token ?? null;
  }

  accept(tokens: Tokens | null): void {
    this.#tokens = tokens;
    for (const listener of this.#listeners) listener(tokens);
  }

  /** New tokens, or null when signed out. Callers that come meanwhile share the answer. */
  refresh(): Promise<Tokens | null> {
    this.#refreshing ??= this.#exchange()
      .then((tokens) => {
        this.accept(tokens);
        return tokens;
      })
      .finally(() => {
        this.#refreshing = null;
      });
    return this.#refreshing;
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
