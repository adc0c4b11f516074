/** The journal as it is: every event by its number, for whoever wants to know exactly. */
import { Loader, SegmentedControl, UnstyledButton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { clockTime, exactTime } from "../shell/format";
import type { SessionEvent } from "./events";
import classes from "./events.module.css";
import type { SessionView } from "./fold";
import type { SessionStore } from "./store";

export const CHANNELS = ["progress", "control", "monitor"] as const;
export type Channel = (typeof CHANNELS)[number];

/** Pixels from the beginning at which the page before is read. */
const NEAR_START = 600;
const ROW_PX = 33;

type Props = {
  store: SessionStore;
  view: SessionView;
  loadingOlder: boolean;
  channel: Channel | undefined;
  onChannel: (channel: Channel | undefined) => void;
};

export function EventsView({ store, view, loadingOlder, channel, onChannel }: Props) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const events = useMemo(
    () => (channel ? view.events.filter((event) => event.channel === channel) : view.events),
    [view.events, channel],
  );
  const virtual = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    getItemKey: (at) => events[at]?.seq ?? at,
    overscan: 12,
    anchorTo: "end",
    followOnAppend: true,
    paddingEnd: 24,
  });
  const toggle = useCallback((seq: number) => {
    setOpened((before) => {
      const after = new Set(before);
      if (!after.delete(seq)) after.add(seq);
      return after;
    });
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another channel is read from its end
  useEffect(() => virtual.scrollToEnd(), [virtual, channel]);
  // A page with little of this channel cannot be scrolled: read on at once.
  const { first } = view;
  useEffect(() => {
    const element = scroller.current;
    if (element && first > 1 && element.scrollHeight < element.clientHeight + NEAR_START) {
      void store.loadOlder();
    }
  }, [store, first]);
  return (
    <div className={classes.frame}>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          aria-label={t("events.channel")}
          data={["all" as const, ...CHANNELS].map((value) => ({
            value,
            label: t(`events.${value}`),
          }))}
          value={channel ?? "all"}
          onChange={(value) => onChannel(CHANNELS.find((one) => one === value))}
        />
        {loadingOlder && <Loader size="xs" type="dots" />}
      </div>
      <section
        ref={scroller}
        className={classes.scroller}
        onScroll={(event) => {
          if (event.currentTarget.scrollTop < NEAR_START) void store.loadOlder();
        }}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the list scrolls by keyboard
        tabIndex={0}
        aria-label={t("events.title")}
        data-testid="events"
      >
        {events.length === 0 && first <= 1 && <p className={classes.none}>{t("events.none")}</p>}
        <div className={classes.canvas} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const event = events[item.index];
            return (
              event && (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className={classes.slot}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <EventRow event={event} opened={opened.has(event.seq)} onToggle={toggle} />
                </div>
              )
            );
          })}
        </div>
      </section>
    </div>
  );
}

type RowProps = { event: SessionEvent; opened: boolean; onToggle: (seq: number) => void };

function EventRow({ event, opened, onToggle }: RowProps) {
  const { i18n } = useTranslation();
  const { seq, time, channel, type, ...fields } = event;
  return (
    <div data-testid="event" data-channel={channel}>
      <UnstyledButton className={classes.row} aria-expanded={opened} onClick={() => onToggle(seq)}>
        <span className={classes.seq}>{seq}</span>
        <time dateTime={time} title={exactTime(time, i18n.language)}>
          {clockTime(time, i18n.language)}
        </time>
        <span className={classes.type} data-channel={channel}>
          {type}
        </span>
        <span className={classes.fields}>{JSON.stringify(fields).slice(1, -1)}</span>
      </UnstyledButton>
      {opened && <pre className={classes.whole}>{JSON.stringify(event, null, 2)}</pre>}
    </div>
  );
}
