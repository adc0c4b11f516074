/** Puts the scripted house behind Vite's own server: `npm run dev:mock`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { Connect, Plugin } from "vite";
import { house } from "./house.ts";
import { seed } from "./seed.ts";

export function mockServer(): Plugin {
  const mock = house();
  seed(mock);
  const middleware: Connect.NextHandleFunction = async (incoming, outgoing, next) => {
    const response = await mock.answer(requestOf(incoming));
    if (!response) return next();
    await send(response, incoming, outgoing);
  };
  return {
    name: "mock-server",
    configureServer: (server) => void server.middlewares.use(middleware),
    configurePreviewServer: (server) => void server.middlewares.use(middleware),
  };
}

function requestOf(incoming: IncomingMessage): Request {
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  const body = method === "GET" || method === "HEAD" ? null : Readable.toWeb(incoming);
  const init = { method, headers, body, duplex: "half" };
  return new Request(new URL(incoming.url ?? "/", "http://mock"), init as RequestInit);
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse) {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return outgoing.end();
  const reader = response.body.getReader();
  incoming.on("close", () => void reader.cancel());
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return outgoing.end();
    outgoing.write(value);
  }
}
