import { describe, expect, it } from "vitest";
import { Problem } from "./problem";
import { followStream, retryDelay, type StreamStatus } from "./stream";

type Answer = { chunks: string[] } | { status: number } | "unreachable";

/** Follows a server that gives these answers in turn and then none; what was seen and asked for. */
async function follow(answers: Answer[]) {
  const ids: string[] = [];
  const asked: (string | null)[] = [];
  const statuses: StreamStatus[] = [];
  const stop = new AbortController();
  let refused: Problem | null = null;
  await followStream(
    {
      url: "/stream",
      lastEventId: () => Number(ids.at(-1) ?? 0),
      signal: stop.signal,
      pause: async () => {},
      fetch: async (_url, init) => {
        asked.push(new Headers(init.headers).get("Last-Event-ID"));
        const answer = answers.shift();
        if (!answer) {
          stop.abort();
          throw new Problem({ status: 0, code: "unreachable", title: "", detail: "" });
        }
        if (answer === "unreachable") throw new TypeError("no network");
        if ("status" in answer) return new Response("{}", { status: answer.status });
        return new Response(answer.chunks.join(""));
      },
    },
    {
      onMessage: (message) => ids.push(message.id ?? ""),
      onStatus: (status) => statuses.push(status),
      onRefused: (problem) => {
        refused = problem;
      },
    },
  );
  return { ids, asked, statuses, refused: refused as Problem | null };
}

describe("a stream", () => {
  it("is taken up again behind the last event", async () => {
    const seen = await follow([
      { chunks: ["id: 1\ndata: a\n\n", ": beat\n\nid: 2\nda", "ta: b\n\n"] },
      { chunks: ["id: 3\ndata: c\n\n"] },
    ]);

    expect(seen.ids).toEqual(["1", "2", "3"]);
    expect(seen.asked).toEqual(["0", "2", "3"]);
  });

  it("says when it is live and when it is lost", async () => {
    const seen = await follow(["unreachable", { chunks: ["id: 1\ndata: a\n\n"] }]);

    expect(seen.statuses.slice(0, 4)).toEqual(["connecting", "lost", "lost", "live"]);
  });

  it("ends when the server refuses it", async () => {
    const seen = await follow([{ status: 404 }, { chunks: ["id: 1\ndata: a\n\n"] }]);

    expect(seen.refused?.status).toBe(404);
    expect(seen.ids).toEqual([]);
  });

  it("survives a server that fails for a while", async () => {
    const seen = await follow([{ status: 503 }, { chunks: ["id: 1\ndata: a\n\n"] }]);

    expect(seen.ids).toEqual(["1"]);
  });
});

describe("the wait before a retry", () => {
  it("doubles up to ten seconds", () => {
    const most = () => 1;
    expect([1, 2, 3, 10].map((failures) => retryDelay(failures, most))).toEqual([
      400, 800, 1600, 10_000,
    ]);
  });

  it("is never less than half of that", () => expect(retryDelay(3, () => 0)).toBe(800));
});
