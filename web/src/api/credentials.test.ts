import { describe, expect, it } from "vitest";
import { Credentials } from "./credentials";
import { asProblem, problemFrom } from "./problem";
import type { Tokens } from "./types";

const tokens = (access: string) => ({ access_token: access }) as Tokens;

describe("credentials", () => {
  it("are refreshed once, however many ask", async () => {
    let calls = 0;
    const credentials = new Credentials(async () => {
      calls += 1;
      return tokens("new");
    });

    const answers = await Promise.all([credentials.refresh(), credentials.refresh()]);

    expect(calls).toBe(1);
    expect(answers.map((answer) => answer?.access_token)).toEqual(["new", "new"]);
    expect(credentials.token).toBe("new");
  });

  it("can be refreshed again afterwards", async () => {
    let calls = 0;
    const credentials = new Credentials(async () => {
      calls += 1;
      return tokens(String(calls));
    });

    await credentials.refresh();
    await credentials.refresh();

    expect(credentials.token).toBe("2");
  });

  it("tell their listeners when a login ends", async () => {
    const credentials = new Credentials(async () => null);
    const seen: (string | undefined)[] = [];
    credentials.onChange((next) => seen.push(next?.access_token));

    credentials.accept(tokens("a"));
    await credentials.refresh();

    expect(seen).toEqual(["a", undefined]);
    expect(credentials.token).toBeNull();
  });

  it("stay as they are when the server cannot be reached", async () => {
    const credentials = new Credentials(async () => {
      throw new Error("no network");
    });
    credentials.accept(tokens("old"));

    await expect(credentials.refresh()).rejects.toThrow("no network");

    expect(credentials.token).toBe("old");
  });
});

describe("a problem", () => {
  it("carries the server's words", () => {
    const response = new Response(null, { status: 422 });
    const problem = problemFrom(
      {
        type: "urn:longhouse:problem:invalid",
        title: "Not valid",
        detail: "There is no repository.",
        hint: "Name a folder.",
        request_id: "req_1",
        errors: [{ field: "repository.source", message: "not a git repository" }],
      },
      response,
    );

    expect(problem).toMatchObject({ code: "invalid", hint: "Name a folder.", requestId: "req_1" });
    expect(problem.at("repository.source")).toBe("not a git repository");
    expect(problem.at("repository")).toBe("not a git repository");
    expect(problem.at("name")).toBeUndefined();
  });

  it("is made of any other failure too", () => {
    const response = new Response("<html>", { status: 502, headers: { "X-Request-Id": "r" } });

    expect(problemFrom("<html>", response)).toMatchObject({ status: 502, requestId: "r" });
    expect(asProblem(new Error("boom")).detail).toBe("boom");
  });
});
