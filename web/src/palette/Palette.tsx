/** Ctrl-K: goes anywhere and does anything, from the keyboard. */
import { Spotlight, spotlight } from "@mantine/spotlight";
import "@mantine/spotlight/styles.css";
import { IconSearch } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useCommands } from "./useCommands";

/** Commands shown at a time: what a screen holds, and what one still reads. */
const MOST_SHOWN = 30;

export function Palette() {
  const { t } = useTranslation();
  const [opened, setOpened] = useState(false);
  const [query, setQuery] = useState("");
  const groups = useCommands(opened, query.trim());
  return (
    <Spotlight
      actions={groups}
      query={query}
      onQueryChange={setQuery}
      onSpotlightOpen={() => setOpened(true)}
      onSpotlightClose={() => setOpened(false)}
      shortcut="mod + K"
      // Also from within the message field.
      tagsToIgnore={[]}
      triggerOnContentEditable
      nothingFound={t("palette.nothing")}
      limit={MOST_SHOWN}
      scrollable
      maxHeight="min(420px, 60dvh)"
      overlayProps={{ backgroundOpacity: 0.4, blur: 1 }}
      searchProps={{
        leftSection: <IconSearch size={18} />,
        placeholder: t("palette.ask"),
        "aria-label": t("palette.title"),
      }}
    />
  );
}

export function openPalette(): void {
  spotlight.open();
}
