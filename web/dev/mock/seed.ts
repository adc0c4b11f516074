/** Fills a house with what is worth looking at: a long conversation, and one that waits. */
import type { State } from "./state.ts";

export function seed(house: State): void {
  const engineer = house.addPost("Engineer", "Changes code; asks before it writes or runs.");
  const readers = house.tools.filter((tool) => tool.reads_only);
  const reader = house.addPost("Reader", "Answers questions about code.", "read_only", readers);
  house.addAgent("Night reader", reader);
  addMarathon(house, 20_000);
  const ada = house.addSession(house.addAgent("Ada", engineer, "sample"), "Make the test pass");
  const text = "Make the failing test pass.";
  ada.add({ type: "message", message_id: "seed", text, sender: "admin" });
  void ada.play("seed", 1);
}

/** An agent with a conversation of this many events. */
export function addMarathon(house: State, events: number): void {
  const post = house.posts[0] ?? house.addPost("Engineer");
  const session = house.addSession(house.addAgent("Marathon", post, "/srv/git/shop"), "Marathon");
  session.turn = 1;
  for (let at = 0; session.events.length < events; at += 1) {
    const step = at + 1;
    const call_id = `long${at}`;
    const call = { call_id, name: "fs_read" };
    const message_id = `l${at}`;
    const words = "words and more words ".repeat(at % 13);
    const content = "x = 1\n".repeat(at % 40);
    session.add({ type: "message", message_id, text: `Question ${at}`, sender: "admin" });
    session.add({ type: "step_started", turn: step, step, messages: [message_id] });
    session.add({ type: "text", step, text: `Answer **${at}**: ${words}` });
    session.add({ type: "tool_call", step, ...call, arguments: { path: `f${at}.py` } });
    session.add({ type: "step_complete", step, model: "demo" });
    session.add({ type: "tool_start", ...call });
    session.add({ type: "tool_end", ...call, outcome: "ok", content });
    session.add({ type: "tool_executed", ...call, outcome: "ok", duration_ms: 3 });
    session.add({ type: "done", turn: step, reason: "completed" });
  }
  session.usage = { input: 1_840_231, output: 94_022, cached: 1_200_000, reasoning: 0 };
  session.agent.tokens = { input: 1_840_231, output: 94_022 };
}
