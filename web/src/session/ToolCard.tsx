/**
 * One tool call, whatever it went through: one line that says what and how it ended; arguments,
 * result and diff behind it. Open at once when it changed a few lines.
 */
import { Button, Loader, UnstyledButton } from "@mantine/core";
import {
  IconBan,
  IconCheck,
  IconChevronRight,
  IconCircleDashed,
  IconFilePencil,
  IconFileText,
  IconHandStop,
  IconListCheck,
  IconPlayerStop,
  IconQuestionMark,
  IconSearch,
  IconTerminal2,
  IconTool,
  IconUsersGroup,
  IconX,
} from "@tabler/icons-react";
import { memo, type ReactNode, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { DiffView } from "../diff/DiffView";
import { countLines, parseDiff } from "../diff/parse";
import { DiffBadge } from "../shell/DiffBadge";
import { duration, size } from "../shell/format";
import { Arguments } from "./Arguments";
import { Attachments } from "./Attachments";
import type { ToolRow } from "./rows";
import { summarize } from "./summary";
import classes from "./transcript.module.css";

/** Changed lines up to which a diff is shown without asking. */
const SMALL_DIFF = 40;
/** Characters of a result shown at once. */
const SHOWN_RESULT = 3_000;

const ICONS: Record<string, typeof IconTool> = {
  fs_read: IconFileText,
  fs_write: IconFilePencil,
  fs_edit: IconFilePencil,
  fs_multi_edit: IconFilePencil,
  fs_glob: IconSearch,
  fs_grep: IconSearch,
  bash_run: IconTerminal2,
  bash_logs: IconTerminal2,
  bash_kill: IconTerminal2,
  todo_read: IconListCheck,
  todo_write: IconListCheck,
  task_run: IconUsersGroup,
};

type Props = {
  row: ToolRow;
  /** Set once a person opened or closed the card; kept outside, because rows come and go. */
  opened: boolean | undefined;
  onToggle: (key: string, opened: boolean) => void;
  /** More to see behind the line. */
  behind?: ((row: ToolRow) => ReactNode) | undefined;
};

export const ToolCard = memo(function ToolCard({ row, opened, onToggle, behind }: Props) {
  const { t } = useTranslation();
  const lines = useMemo(() => (row.diff ? countLines(parseDiff(row.diff)) : null), [row.diff]);
  const small = lines !== null && lines.additions + lines.deletions <= SMALL_DIFF;
  const open = opened ?? (small || row.attachments.length > 0);
  const Icon = ICONS[row.name] ?? IconTool;
  return (
    <article
      className={classes.tool}
      data-testid="tool-card"
      data-tool={row.name}
      data-phase={row.phase}
      data-outcome={row.outcome ?? undefined}
      aria-label={t("tool.label", { name: row.name })}
    >
      <UnstyledButton
        className={classes.toolHead}
        aria-expanded={open}
        onClick={() => onToggle(row.key, !open)}
      >
        <IconChevronRight size={14} className={classes.chevron} data-open={open || undefined} />
        <Icon size={16} stroke={1.75} className={classes.toolIcon} />
        <span className={classes.toolName}>{row.name}</span>
        <span className={classes.toolSummary}>{summarize(row.arguments)}</span>
        {lines && <DiffBadge additions={lines.additions} deletions={lines.deletions} />}
        <Mark row={row} />
      </UnstyledButton>
      {open && <ToolBody row={row} diffOnly={opened === undefined} behind={behind} />}
    </article>
  );
});

/** How the call stands, at the end of its line. */
function Mark({ row }: { row: ToolRow }) {
  const { t, i18n } = useTranslation();
  if (row.phase === "waiting" || row.asks.length > 0) {
    return (
      <span className={classes.mark} data-kind="ask">
        <IconHandStop size={14} /> {t("tool.waiting")}
      </span>
    );
  }
  if (row.phase === "running") return <Loader size={13} aria-label={t("tool.running")} />;
  if (row.phase === "called") {
    return <IconCircleDashed size={15} className={classes.dim} aria-label={t("tool.called")} />;
  }
  const took = row.durationMs === null ? "" : duration(row.durationMs, i18n.language);
  switch (row.outcome) {
    case "ok":
      return (
        <span className={classes.mark}>
          {took} <IconCheck size={15} aria-label={t("tool.ok")} className={classes.good} />
        </span>
      );
    case "denied":
      return (
        <span className={classes.mark} data-kind="bad">
          <IconBan size={14} /> {t("tool.denied")}
        </span>
      );
    case "interrupted":
      return (
        <span className={classes.mark} data-kind="ask">
          <IconPlayerStop size={14} /> {t("tool.interrupted")}
        </span>
      );
    case "sealed":
      return (
        <span className={classes.mark} data-kind="ask" title={t("tool.sealedHint")}>
          <IconQuestionMark size={14} /> {t("tool.sealed")}
        </span>
      );
    default:
      return (
        <span className={classes.mark} data-kind="bad">
          {took} <IconX size={15} /> {t(row.outcome === "invalid" ? "tool.invalid" : "tool.error")}
        </span>
      );
  }
}

type BodyProps = { row: ToolRow; diffOnly: boolean; behind: Props["behind"] };

function ToolBody({ row, diffOnly, behind }: BodyProps) {
  const { t } = useTranslation();
  return (
    <div className={classes.toolBody}>
      {row.decision && <DecisionLine decision={row.decision} />}
      {!diffOnly && (
        <Arguments args={row.arguments} malformed={row.malformed} hideLong={row.diff !== ""} />
      )}
      {row.diff && <DiffView patch={row.diff} plain />}
      {behind?.(row)}
      {!diffOnly && row.content && <Result text={row.content} />}
      {row.attachments.length > 0 && (
        <div className={classes.part}>
          <Attachments attachments={row.attachments} />
        </div>
      )}
      {!diffOnly && row.attempt > 1 && (
        <p className={classes.aside}>{t("tool.attempt", { attempt: row.attempt })}</p>
      )}
    </div>
  );
}

function DecisionLine({ decision }: { decision: NonNullable<ToolRow["decision"]> }) {
  const { t } = useTranslation();
  const words = decision.by
    ? t(`tool.decidedBy.${decision.verdict}`, { by: decision.by })
    : t(`tool.decided.${decision.verdict}`);
  return (
    <p className={classes.aside}>
      {words}
      {decision.note && <q>{decision.note}</q>}
    </p>
  );
}

function Result({ text }: { text: string }) {
  const { t, i18n } = useTranslation();
  const [all, setAll] = useState(false);
  const long = text.length > SHOWN_RESULT;
  return (
    <div className={classes.part}>
      <div className={classes.partName}>{t("tool.result")}</div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long output must scroll by keyboard too */}
      <pre tabIndex={0} data-testid="tool-result">
        {all || !long ? text : `${text.slice(0, SHOWN_RESULT)}…`}
      </pre>
      {long && !all && (
        <Button size="compact-xs" variant="default" onClick={() => setAll(true)}>
          {t("tool.showAll", { size: size(text, i18n.language) })}
        </Button>
      )}
    </div>
  );
}
