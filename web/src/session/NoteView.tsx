/** What happened beside the conversation, in one quiet line; some have more to read behind it. */
import { UnstyledButton } from "@mantine/core";
import {
  IconArrowsMinimize,
  IconCamera,
  IconClock,
  IconFileAlert,
  IconGitFork,
  IconIdBadge2,
  IconSparkles,
  IconZoomExclamation,
} from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import { Markdown } from "./Markdown";
import { MomentMenu } from "./MomentMenu";
import type { Note, NoteRow } from "./rows";
import classes from "./transcript.module.css";

const ICONS: Record<Note["about"], typeof IconClock> = {
  compressed: IconArrowsMinimize,
  snapshot: IconCamera,
  forked: IconGitFork,
  file: IconFileAlert,
  skill: IconSparkles,
  post: IconIdBadge2,
  refused: IconZoomExclamation,
  schedule: IconClock,
};

type Props = {
  row: NoteRow;
  opened: boolean;
  onToggle: (key: string, opened: boolean) => void;
};

export const NoteView = memo(function NoteView({ row, opened, onToggle }: Props) {
  const words = useNoteWords(row.note);
  const more = moreOf(row.note);
  const Icon = ICONS[row.note.about];
  const line = (
    <>
      <Icon size={15} stroke={1.75} aria-hidden />
      <span className={more ? classes.remarkMore : undefined}>{words}</span>
    </>
  );
  return (
    <div className={classes.remark} data-testid="note" data-about={row.note.about}>
      {more ? (
        <UnstyledButton
          className={classes.remarkLine}
          aria-expanded={opened}
          onClick={() => onToggle(row.key, !opened)}
        >
          {line}
        </UnstyledButton>
      ) : (
        <div className={classes.remarkLine}>
          {line}
          {row.note.about === "snapshot" && <MomentMenu at={row.note.at} />}
        </div>
      )}
      {more && opened && (
        <div className={classes.thinkingText}>
          <Markdown text={more} />
        </div>
      )}
    </div>
  );
});

/** What stands behind the line; nothing for most. */
function moreOf(note: Note): string {
  switch (note.about) {
    case "compressed":
      return note.summary;
    case "skill":
      return note.description;
    case "refused":
      return note.problems;
    default:
      return "";
  }
}

function useNoteWords(note: Note): string {
  const { t } = useTranslation();
  switch (note.about) {
    case "compressed":
      return t("note.compressed", { count: note.summarised });
    case "snapshot":
      return t("note.snapshot", { name: note.name });
    case "forked":
      return note.snapshot
        ? t("note.forkedFromSnapshot", { name: note.snapshot })
        : t("note.forked");
    case "file":
      return t(note.gone ? "note.fileGone" : "note.file", { path: note.path });
    case "skill":
      return t("note.skill", { name: note.name });
    case "post":
      return t("note.post", { post: note.post, version: note.version });
    case "refused":
      return t("note.refused");
    case "schedule":
      return t(`note.schedule.${note.change}`, { name: note.name });
  }
}
