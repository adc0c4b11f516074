/** A component's hold on a session's store: opened with the page, closed with it. */
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { type SessionSnapshot, SessionStore } from "./store";

export function useSession(
  agentId: string,
  sessionId: string,
  at: number | undefined,
): { store: SessionStore; snapshot: SessionSnapshot } {
  const store = useMemo(() => new SessionStore(agentId, sessionId, at), [agentId, sessionId, at]);
  useEffect(() => {
    void store.start();
    return () => store.stop();
  }, [store]);
  return { store, snapshot: useSyncExternalStore(store.subscribe, store.get) };
}
