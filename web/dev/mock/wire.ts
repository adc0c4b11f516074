/**
 * A server of one's own making, in the browser's terms: a table of routes from `Request` to
 * `Response`, problems included. It knows nothing of Longhouse but the prefix of its API.
 */
export const PREFIX = "/api/v1";
/** What the API has outside of its prefix. */
const OUTSIDE = new Set(["/health", "/info"]);

/** What a route is called with. */
export type Call<Body = never> = {
  path: Record<string, string>;
  query: URLSearchParams;
  body: Body;
  request: Request;
  /** Headers of the answer. */
  headers: Headers;
};

/** Whatever is no Response becomes JSON with 200; undefined becomes 204. */
export type Route = (call: Call<never>) => unknown;

/** Routes by method and address as openapi.json has them, without the prefix. */
export type Routes = Record<string, Route>;

/** Refuses a request with a problem document. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly more: object;

  constructor(status: number, code: string, detail: string, more: object = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.more = more;
  }
}

/** An answer with another status than 200. */
export function answer(status: number, body: unknown): Response {
  return Response.json(body, { status });
}

/** The row with this id. Refuses with 404. */
export function found<T extends { id: string }>(rows: readonly T[], id: string | undefined): T {
  const row = rows.find((one) => one.id === id);
  if (!row) throw new Refused(404, "not-found", "There is nothing here with this id.");
  return row;
}

/** One page of the rows, by `after` and `limit`; the cursor is the last row's id. */
export function page<T extends { id: string }>(rows: readonly T[], query: URLSearchParams) {
  const after = query.get("after");
  const start = after === null ? 0 : rows.findIndex((row) => row.id === after) + 1;
  const limit = Number(query.get("limit") ?? 50);
  const items = rows.slice(start, start + limit);
  const next = start + limit < rows.length ? (items.at(-1)?.id ?? null) : null;
  return { items, next };
}

/** Answers requests by the table. Null for an address outside of the API. */
export function serve(routes: Routes, nextRequestId: () => string) {
  const table = Object.entries(routes).map(([name, route]) => ({ match: matcher(name), route }));
  return async (request: Request): Promise<Response | null> => {
    const url = new URL(request.url);
    const ofApi = url.pathname.startsWith(`${PREFIX}/`);
    if (!ofApi && !OUTSIDE.has(url.pathname)) return null;
    const address = `${request.method} ${url.pathname.slice(ofApi ? PREFIX.length : 0)}`;
    const requestId = nextRequestId();
    const headers = new Headers({ "X-Request-Id": requestId });
    try {
      for (const { match, route } of table) {
        const path = match(address);
        if (!path) continue;
        const text = await request.text();
        const body = (text ? JSON.parse(text) : {}) as never;
        const result = await route({ path, query: url.searchParams, body, request, headers });
        return withHeaders(responseOf(result), headers);
      }
      throw new Refused(404, "not-found", "There is nothing here.");
    } catch (error) {
      const refused = error instanceof Refused ? error : new Refused(500, "broken", String(error));
      return withHeaders(problemOf(refused, requestId), headers);
    }
  };
}

/** From `GET /posts/7` to `{post_id: "7"}` for `GET /posts/{post_id}`; null when it is another. */
function matcher(name: string): (address: string) => Record<string, string> | null {
  const pattern = new RegExp(`^${name.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`);
  return (address) => {
    const match = pattern.exec(address);
    return match && { ...match.groups };
  };
}

function responseOf(result: unknown): Response {
  if (result instanceof Response) return result;
  return result === undefined ? new Response(null, { status: 204 }) : Response.json(result);
}

function problemOf({ status, code, message, more }: Refused, requestId: string): Response {
  const type = `urn:longhouse:problem:${code}`;
  const problem = { type, code, status, title: code, detail: message, request_id: requestId };
  const headers = { "Content-Type": "application/problem+json" };
  return Response.json({ ...problem, ...more }, { status, headers });
}

function withHeaders(response: Response, headers: Headers): Response {
  for (const [name, value] of headers) response.headers.set(name, value);
  return response;
}
