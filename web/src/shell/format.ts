/** Numbers, sizes and times in the reader's language. Pure. */

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 minutes ago", seen from `now` (milliseconds). Under a minute it is the present. */
export function relativeTime(time: string, now: number, language: string): string {
  const seconds = Math.round((new Date(time).getTime() - now) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(0, "second");
}

export function exactTime(time: string, language: string): string {
  return new Date(time).toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
}

export function clockTime(time: string, language: string): string {
  return new Date(time).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
}

/** 1,234 in full, 12.3K above ten thousand. */
export function count(value: number, language: string): string {
  const notation = value >= 10_000 ? "compact" : "standard";
  return new Intl.NumberFormat(language, { notation, maximumFractionDigits: 1 }).format(value);
}

const SPANS = [
  ["day", 86_400_000, 0],
  ["hour", 3_600_000, 0],
  ["minute", 60_000, 0],
  ["second", 1_000, 1],
] as const;

/** 12 ms, 1.4 s, 3 min, 5 hr, 2 days: what a call took, how long something runs. */
export function duration(ms: number, language: string): string {
  const [unit, length, digits] = SPANS.find(([name, span]) =>
    name === "second" ? ms >= span : ms >= 2 * span,
  ) ?? ["millisecond", 1, 0];
  const value = ms / length;
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: digits,
  }).format(value);
}

/** The size of a text in UTF-8. */
export function size(text: string, language: string): string {
  return bytes(new TextEncoder().encode(text).length, language);
}

/** 812 byte, 12 kB, 3.4 MB. */
export function bytes(count: number, language: string): string {
  const [unit, length, digits] =
    count < 1_000
      ? (["byte", 1, 0] as const)
      : count < 1_000_000
        ? (["kilobyte", 1_000, 0] as const)
        : (["megabyte", 1_000_000, 1] as const);
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: digits,
  }).format(count / length);
}
