/** A unified diff as people read it: files, line numbers, what came and what went. */
import { Button } from "@mantine/core";
import { memo, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { DiffBadge } from "../shell/DiffBadge";
import classes from "./diff.module.css";
import { type DiffFile, type DiffHunk, type DiffLine, parseDiff } from "./parse";

/** Lines of one file shown at once; more on demand, so that a huge diff freezes nothing. */
const SHOWN_LINES = 400;
const SIGN = { add: "+", del: "−", context: "", note: "" } as const;

type Props = {
  patch: string;
  /** Without the head of a file: when there is one file and its name stands above already. */
  plain?: boolean;
};

export const DiffView = memo(function DiffView({ patch, plain = false }: Props) {
  const files = useMemo(() => parseDiff(patch), [patch]);
  if (files.length === 0) return patch ? <pre className={classes.raw}>{patch}</pre> : null;
  const headless = plain && files.length === 1;
  return (
    <div className={headless ? classes.plain : undefined} data-testid="diff">
      {files.map((file) => (
        <FileDiff key={`${file.previous}:${file.path}`} file={file} headless={headless} />
      ))}
    </div>
  );
});

function FileDiff({ file, headless }: { file: DiffFile; headless: boolean }) {
  const { t } = useTranslation();
  const [all, setAll] = useState(false);
  const total = file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  const hunks = all ? file.hunks : firstLines(file.hunks, SHOWN_LINES);
  return (
    <section className={classes.file} aria-label={file.path}>
      {!headless && (
        <div className={classes.head}>
          <span className={classes.path} title={file.path}>
            <bdi>{file.path}</bdi>
          </span>
          {file.status !== "modified" && (
            <span className={classes.status}>{t(`diff.${file.status}`)}</span>
          )}
          <DiffBadge additions={file.additions} deletions={file.deletions} />
        </div>
      )}
      {file.binary && <div className={classes.binary}>{t("diff.binary")}</div>}
      {hunks.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: wide lines must scroll by keyboard too
        <div className={classes.body} tabIndex={0}>
          <table className={classes.table}>
            {hunks.map((hunk, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a hunk has no name but its place
              <Hunk key={at} hunk={hunk} first={at === 0} />
            ))}
          </table>
        </div>
      )}
      {!all && total > SHOWN_LINES && (
        <div className={classes.more}>
          <Button size="compact-xs" variant="default" onClick={() => setAll(true)}>
            {t("diff.showAll", { count: total })}
          </Button>
        </div>
      )}
    </section>
  );
}

function Hunk({ hunk, first }: { hunk: DiffHunk; first: boolean }) {
  return (
    <tbody>
      {(hunk.header || !first) && (
        <tr className={classes.hunk}>
          <td colSpan={4}>⋯ {hunk.header}</td>
        </tr>
      )}
      {hunk.lines.map((line, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line has no name but its place
        <Line key={at} line={line} />
      ))}
    </tbody>
  );
}

function Line({ line }: { line: DiffLine }) {
  return (
    <tr className={classes[line.kind]}>
      <td className={classes.number}>{line.before}</td>
      <td className={classes.number}>{line.after}</td>
      <td className={classes.sign}>{SIGN[line.kind]}</td>
      <td className={classes.text}>{line.text || " "}</td>
    </tr>
  );
}

function firstLines(hunks: readonly DiffHunk[], most: number): DiffHunk[] {
  const shown: DiffHunk[] = [];
  let left = most;
  for (const hunk of hunks) {
    if (left <= 0) break;
    shown.push({ ...hunk, lines: hunk.lines.slice(0, left) });
    left -= hunk.lines.length;
  }
  return shown;
}
