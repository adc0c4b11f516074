import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { authorizedFetch, credentials } from "./http";
import { Problem } from "./problem";
import type { Tokens } from "./types";

const HOUSE = "http://house.example";
const AGENTS = `${HOUSE}/api/v1/agents`;

/** A server that knows one good access token and, if `renewable`, trades the cookie for it. */
function serve({ good, renewable }: { good: string; renewable: boolean }) {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const path = new URL(request.url).pathname;
    asked.push(path);
    if (path === "/api/v1/auth/refresh") {
      return renewable ? Response.json({ access_token: good }) : Response.json({}, { status: 401 });
    }
    const known = request.headers.get("Authorization") === `Bearer ${good}`;
    return Response.json({}, { status: known ? 200 : 401 });
  });
  return asked;
}

const tokens = (access: string) => ({ access_token: access }) as Tokens;

describe("a request", () => {
  beforeEach(() => {
    vi.stubGlobal("location", { href: `${HOUSE}/agents` });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    credentials.accept(null);
  });

  it("carries the access token", async () => {
    serve({ good: "a", renewable: false });
    credentials.accept(tokens("a"));

    expect((await authorizedFetch(AGENTS)).status).toBe(200);
  });

  it("whose token expired is repeated with a fresh one", async () => {
    const asked = serve({ good: "b", renewable: true });
    credentials.accept(tokens("a"));

    expect((await authorizedFetch(AGENTS)).status).toBe(200);
    expect(asked).toEqual(["/api/v1/agents", "/api/v1/auth/refresh", "/api/v1/agents"]);
  });

  it("that meets a 401 with many others refreshes once", async () => {
    const asked = serve({ good: "b", renewable: true });
    credentials.accept(tokens("a"));

    const answers = await Promise.all([1, 2, 3].map(() => authorizedFetch(AGENTS)));

    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(asked.filter((path) => path.endsWith("/refresh"))).toHaveLength(1);
  });

  it("of a revoked login ends it here too", async () => {
    serve({ good: "b", renewable: false });
    credentials.accept(tokens("a"));

    expect((await authorizedFetch(AGENTS)).status).toBe(401);
    expect(credentials.token).toBeNull();
  });

  it("without a login asks for no fresh token", async () => {
    const asked = serve({ good: "b", renewable: true });

    expect((await authorizedFetch(AGENTS)).status).toBe(401);
    expect(asked).toEqual(["/api/v1/agents"]);
  });

  it("that reaches no server is a problem that says so", async () => {
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("no network");
    });

    const problem = await authorizedFetch(AGENTS).catch((error) => error);

    expect(problem).toBeInstanceOf(Problem);
    expect(problem.unreachable).toBe(true);
  });
});
