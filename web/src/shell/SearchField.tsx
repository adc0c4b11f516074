/** The search above a list. `/` goes there; what is typed reaches the address after a breath. */
import { Kbd, TextInput } from "@mantine/core";
import { useDebouncedCallback, useHotkeys } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import classes from "./list.module.css";

/** Milliseconds after the last key: no request for every letter. */
const BREATH_MS = 200;

type Props = {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
};

export function SearchField({ label, value = "", onChange }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  const sent = useRef(value);
  const send = useDebouncedCallback((next: string) => {
    sent.current = next;
    onChange(next || undefined);
  }, BREATH_MS);
  // The address may change by itself: back, or a link without a search.
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    setText(value);
  }, [value]);
  useHotkeys([["/", () => field.current?.focus()]]);
  return (
    <TextInput
      ref={field}
      type="search"
      className={classes.search}
      aria-label={label}
      aria-keyshortcuts="/"
      placeholder={label}
      leftSection={<IconSearch size={16} />}
      rightSection={text === "" && <Kbd size="xs">/</Kbd>}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        send(event.currentTarget.value);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.blur();
      }}
    />
  );
}
