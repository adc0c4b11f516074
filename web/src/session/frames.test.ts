import { describe, expect, it } from "vitest";
import { FrameQueue } from "./frames";

function setUp() {
  const delivered: number[][] = [];
  let frame: (() => void) | null = null;
  const queue = new FrameQueue<number>(
    (items) => delivered.push(items),
    (run) => {
      frame = run;
      return () => {
        frame = null;
      };
    },
  );
  return { queue, delivered, paint: () => frame?.() };
}

describe("a frame queue", () => {
  it("delivers everything of a frame at once, in order", () => {
    const { queue, delivered, paint } = setUp();

    queue.push(1);
    queue.push(2);
    queue.push(3);
    expect(delivered).toEqual([]);
    paint();

    expect(delivered).toEqual([[1, 2, 3]]);
  });

  it("starts a new batch after each frame", () => {
    const { queue, delivered, paint } = setUp();

    queue.push(1);
    paint();
    queue.push(2);
    paint();

    expect(delivered).toEqual([[1], [2]]);
  });

  it("hands over what waits when it is flushed, and nothing twice", () => {
    const { queue, delivered, paint } = setUp();

    queue.push(1);
    queue.flush();
    paint();

    expect(delivered).toEqual([[1]]);
  });

  it("forgets what waits when it is cleared", () => {
    const { queue, delivered, paint } = setUp();

    queue.push(1);
    queue.clear();
    paint();

    expect(delivered).toEqual([]);
  });
});
