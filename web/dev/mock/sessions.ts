/** Sessions: their journals, messages, streams and approvals. */
import type { DecisionBody, ForkBody, MessageBody, SessionBody, SnapshotBody } from "../../.client";
import type { State } from "./state.ts";
import { answer, type Call, found, page, Refused, type Routes } from "./wire.ts";

const SESSIONS = "/agents/{agent_id}/sessions";
const SESSION = `${SESSIONS}/{session_id}`;
const LONGEST_TITLE = 60;

export function sessionRoutes(house: State): Routes {
  const sessionOf = (path: Record<string, string>) => found(house.sessions, path.session_id);
  return {
    [`GET ${SESSIONS}`]: ({ path, query }: Call) => {
      const mine = house.sessions.filter(
        (session) => session.agent.id === path.agent_id && !session.delegated_by,
      );
      const { items, next } = page(mine, query);
      return { items: items.map((session) => session.view()), next };
    },
    [`POST ${SESSIONS}`]: ({ path, body }: Call<SessionBody>) => {
      const agent = found(house.agents, path.agent_id);
      return answer(201, house.addSession(agent, body.title).view());
    },
    [`GET ${SESSION}`]: ({ path }: Call) => sessionOf(path).view(),
    [`GET ${SESSION}/sub-agents`]: ({ path }: Call) => {
      const parent = sessionOf(path).id;
      const sent = house.sessions.filter((session) => session.delegated_by?.session_id === parent);
      return { items: sent.map((session) => session.view()) };
    },
    [`POST ${SESSION}/fork`]: ({ path, body }: Call<ForkBody>) => {
      const session = sessionOf(path);
      const named = session.snapshots().find((snapshot) => snapshot.name === body.at);
      const at = named?.at ?? Number(body.at ?? session.events.length);
      return answer(201, house.addFork(session, at).view());
    },
    [`GET ${SESSION}/snapshots`]: ({ path }: Call) => ({ items: sessionOf(path).snapshots() }),
    [`POST ${SESSION}/snapshots`]: ({ path, body }: Call<SnapshotBody>) => {
      const session = sessionOf(path);
      const at = session.events.length;
      if (session.snapshots().some((snapshot) => snapshot.name === body.name)) {
        throw new Refused(409, "snapshot-taken", "Another moment has this name already.");
      }
      session.add({ type: "snapshot", name: body.name, at });
      return answer(201, { name: body.name, at });
    },
    [`GET ${SESSION}/at/{seq}`]: ({ path }: Call) => sessionOf(path).moment(Number(path.seq)),
    [`POST ${SESSION}/messages`]: ({ path, body }: Call<MessageBody>) => {
      const session = sessionOf(path);
      const message_id = body.message_id ?? house.id("message");
      session.title ||= body.text.slice(0, LONGEST_TITLE);
      const { text } = body;
      const attachments = (body.attachments ?? []).map((one) => house.keep(one));
      const message = { type: "message", message_id, text, sender: "admin", attachments };
      const seq = session.add(message);
      if (session.state === "ready") void session.play(message_id);
      return answer(202, { status: "queued", message_id, seq });
    },
    [`GET ${SESSION}/attachments/{digest}`]: ({ path }: Call) => {
      const kept = house.attachments.get(path.digest ?? "");
      if (!kept) throw new Refused(404, "not-found", "The session has no such attachment.");
      return new Response(kept.bytes, { headers: { "Content-Type": kept.mediaType } });
    },
    [`GET ${SESSION}/events`]: ({ path, query }: Call) => {
      const { events } = sessionOf(path);
      const limit = Number(query.get("limit") ?? 500);
      const before = query.get("before");
      const after = Number(query.get("after") ?? 0);
      const items = before
        ? events.slice(Math.max(0, Number(before) - 1 - limit), Number(before) - 1)
        : events.slice(after, after + limit);
      return { items, next: null };
    },
    [`GET ${SESSION}/stream`]: ({ path, request }: Call) => {
      const last = Number(request.headers.get("Last-Event-ID") ?? 0);
      const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-store" };
      return new Response(sessionOf(path).follow(last), { headers });
    },
    [`POST ${SESSION}/interrupt`]: ({ path }: Call) => {
      sessionOf(path).interrupt();
      return answer(202, {});
    },
    [`POST ${SESSION}/approvals/{call_id}`]: ({ path, body }: Call<DecisionBody>) => {
      if (!sessionOf(path).decide(path.call_id ?? "", body)) {
        throw new Refused(409, "already-decided", "Somebody has decided this call.");
      }
    },
    "GET /approvals": () => ({ items: house.sessions.flatMap((session) => session.approvals) }),
  };
}
