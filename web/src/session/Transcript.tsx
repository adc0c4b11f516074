/**
 * The conversation, drawn only where it is looked at. It keeps to its end while the reader is
 * there, and stays where it is while the reader is not; older pages come as one scrolls up.
 */
import { Button, Loader } from "@mantine/core";
import { IconArrowDown } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Outgoing, SessionView } from "./fold";
import type { Live } from "./live";
import { RowView } from "./RowView";
import type { Row } from "./rows";
import { LiveView, OutgoingView } from "./rowViews";
import type { SessionStore } from "./store";
import classes from "./transcript.module.css";

type Entry =
  | { kind: "row"; key: string; row: Row }
  | { kind: "live"; key: string; live: Live }
  | { kind: "outgoing"; key: string; message: Outgoing };

/** Pixels from the end at which the reader still counts as being there. */
const AT_END = 80;
/** Pixels from the beginning at which the page before is read. */
const NEAR_START = 1_200;
const ESTIMATE: Record<string, number> = {
  message: 84,
  text: 110,
  tool: 42,
  thinking: 36,
  note: 30,
  done: 33,
};

type Props = { store: SessionStore; view: SessionView; loadingOlder: boolean };

export function Transcript({ store, view, loadingOlder }: Props) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const [opened, setOpened] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [away, setAway] = useState(false);
  const rows = view.rows.list;
  const extra = useMemo(() => trailing(view.live, view.outbox), [view.live, view.outbox]);
  const total = rows.length + extra.length;
  // Made when it is drawn: a frame of a long conversation allocates a screen of these, not all.
  const entryAt = (at: number): Entry | undefined => {
    const row = rows[at];
    return row ? { kind: "row", key: row.key, row } : extra[at - rows.length];
  };
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => estimate(entryAt(at)),
    getItemKey: (at) => rows[at]?.key ?? extra[at - rows.length]?.key ?? at,
    overscan: 8,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: AT_END,
    paddingStart: 24,
    paddingEnd: 24,
  });

  const toggle = useCallback((key: string, open: boolean) => {
    setOpened((before) => new Map(before).set(key, open));
  }, []);
  const repeat = useCallback(
    (message: Outgoing) =>
      void store.send(message.text, message.messageId, message.picked).catch(() => {}),
    [store],
  );
  const drop = useCallback((messageId: string) => store.drop(messageId), [store]);

  const atEnd = useRef(true);
  const canvas = useRef<HTMLDivElement>(null);
  // Whoever reads the end stays there when the window, the approval or a row changes its height.
  useEffect(() => {
    virtual.scrollToEnd();
    const observer = new ResizeObserver(() => {
      if (atEnd.current) virtual.scrollToEnd();
    });
    for (const element of [scroller.current, canvas.current]) {
      if (element) observer.observe(element);
    }
    return () => observer.disconnect();
  }, [virtual]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
    atEnd.current = distance < AT_END;
    setAway(distance > AT_END * 3);
    if (element.scrollTop < NEAR_START) void store.loadOlder();
  };
  // A first page that does not fill the screen cannot be scrolled: read on at once.
  useEffect(() => {
    const element = scroller.current;
    if (element && view.first > 1 && element.scrollHeight < element.clientHeight + NEAR_START) {
      void store.loadOlder();
    }
  }, [store, view.first]);

  return (
    <div className={classes.frame}>
      <section
        ref={scroller}
        className={classes.scroller}
        onScroll={onScroll}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the transcript scrolls by keyboard
        tabIndex={0}
        aria-label={t("session.transcript")}
        data-testid="transcript"
      >
        {loadingOlder && (
          <div className={classes.loading}>
            <Loader size="xs" type="dots" />
          </div>
        )}
        <div ref={canvas} className={classes.canvas} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const entry = entryAt(item.index);
            return (
              entry && (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className={classes.slot}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <div
                    className={classes.column}
                    data-kind={kindOf(entry)}
                    data-last={item.index === total - 1 || undefined}
                  >
                    <EntryView
                      entry={entry}
                      opened={opened.get(entry.key)}
                      onToggle={toggle}
                      onRepeat={repeat}
                      onDrop={drop}
                    />
                  </div>
                </div>
              )
            );
          })}
        </div>
      </section>
      {away && (
        <Button
          className={classes.toEnd}
          size="xs"
          radius="xl"
          variant="default"
          leftSection={<IconArrowDown size={14} />}
          onClick={() => virtual.scrollToEnd()}
        >
          {t("session.toEnd")}
        </Button>
      )}
    </div>
  );
}

type EntryProps = {
  entry: Entry;
  opened: boolean | undefined;
  onToggle: (key: string, opened: boolean) => void;
  onRepeat: (message: Outgoing) => void;
  onDrop: (messageId: string) => void;
};

const EntryView = memo(
  function EntryView({ entry, opened, onToggle, onRepeat, onDrop }: EntryProps) {
    if (entry.kind === "live") return <LiveView live={entry.live} />;
    if (entry.kind === "outgoing") {
      return <OutgoingView message={entry.message} onRepeat={onRepeat} onDrop={onDrop} />;
    }
    return <RowView row={entry.row} opened={opened} onToggle={onToggle} />;
  },
  (before, after) => sameEntry(before.entry, after.entry) && before.opened === after.opened,
);

function sameEntry(one: Entry, other: Entry): boolean {
  if (one.kind === "row" && other.kind === "row") return one.row === other.row;
  if (one.kind === "live" && other.kind === "live") return one.live === other.live;
  if (one.kind === "outgoing" && other.kind === "outgoing") return one.message === other.message;
  return false;
}

/** What stands behind the rows: the text being written, and messages on their way. */
function trailing(live: Live, outbox: readonly Outgoing[]): Entry[] {
  const entries: Entry[] = [];
  if (live.text || live.thinking || live.calls.length > 0) {
    entries.push({ kind: "live", key: "live", live });
  }
  for (const message of outbox) {
    entries.push({ kind: "outgoing", key: `out-${message.messageId}`, message });
  }
  return entries;
}

function kindOf(entry: Entry): string {
  return entry.kind === "row" ? entry.row.kind : entry.kind;
}

function estimate(entry: Entry | undefined): number {
  return (entry && ESTIMATE[kindOf(entry)]) ?? 60;
}
