import { describe, expect, it } from "vitest";
import { count, duration, relativeTime, size } from "./format";

const NOW = Date.parse("2026-01-02T12:00:00Z");

describe("a time", () => {
  it("is told from now", () => {
    expect(relativeTime("2026-01-02T11:55:00Z", NOW, "en")).toBe("5 min. ago");
    expect(relativeTime("2026-01-02T11:59:50Z", NOW, "en")).toBe("now");
    expect(relativeTime("2026-01-01T11:00:00Z", NOW, "zh-CN")).toBe("昨天");
  });
});

describe("a number", () => {
  it("is short when it is large", () => {
    expect(count(1234, "en")).toBe("1,234");
    expect(count(1_234_567, "en")).toBe("1.2M");
    expect(count(123_456, "zh-CN")).toBe("12.3万");
  });

  it("of milliseconds takes the unit that reads best", () => {
    expect(duration(12, "en")).toBe("12 ms");
    expect(duration(1420, "en")).toBe("1.4 sec");
    expect(duration(180_000, "en")).toBe("3 min");
  });

  it("of bytes counts bytes, not letters", () => {
    expect(size("文", "en")).toBe("3 byte");
    expect(size("a".repeat(12_400), "en")).toBe("12 kB");
  });
});
