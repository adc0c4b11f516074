/** Which session a row belongs to, for the rows that read more of it. */
import { createContext, useContext } from "react";

export type SessionPlace = {
  agentId: string;
  sessionId: string;
  /** Only its last rows are shown, within another session. */
  excerpt?: boolean;
};

export const PlaceContext = createContext<SessionPlace | null>(null);

export function usePlace(): SessionPlace {
  const place = useContext(PlaceContext);
  if (!place) throw new Error("a row stands outside of a session");
  return place;
}
