/** Every kind of row but tool calls, each memoised: a row that did not change is not drawn again. */
import { UnstyledButton } from "@mantine/core";
import {
  IconAlertTriangle,
  IconChevronRight,
  IconPlayerStop,
  IconRefresh,
} from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import { clockTime, exactTime } from "../shell/format";
import { Attachments } from "./Attachments";
import attached from "./attachments.module.css";
import type { JsonObject } from "./events";
import type { Outgoing } from "./fold";
import type { Live } from "./live";
import { Markdown } from "./Markdown";
import { MomentMenu } from "./MomentMenu";
import { paragraphs } from "./paragraphs";
import type { DoneRow, ErrorRow, InterruptRow, MessageRow, ResumedRow, ThinkingRow } from "./rows";
import { shorten } from "./summary";
import { Thumbnail } from "./Thumbnail";
import classes from "./transcript.module.css";

export const MessageView = memo(function MessageView({ row }: { row: MessageRow }) {
  const { t, i18n } = useTranslation();
  return (
    <div className={classes.message} data-testid="message">
      {row.text && <div className={classes.bubble}>{row.text}</div>}
      <Attachments attachments={row.attachments} />
      <div className={classes.messageFoot}>
        {row.sender && <span>{row.sender}</span>}
        <time dateTime={row.time} title={exactTime(row.time, i18n.language)}>
          {clockTime(row.time, i18n.language)}
        </time>
        {!row.read && <span>{t("message.queued")}</span>}
        <MomentMenu at={row.seq - 1} />
      </div>
    </div>
  );
});

type OutgoingProps = {
  message: Outgoing;
  onRepeat: (message: Outgoing) => void;
  onDrop: (messageId: string) => void;
};

export function OutgoingView({ message, onRepeat, onDrop }: OutgoingProps) {
  const { t } = useTranslation();
  return (
    <div
      className={classes.message}
      data-testid="message"
      data-failed={message.failed || undefined}
    >
      {message.text && <div className={classes.bubble}>{message.text}</div>}
      {message.picked.length > 0 && (
        <div className={attached.list}>
          {message.picked.map((one) => (
            <Thumbnail key={one.id} {...one} />
          ))}
        </div>
      )}
      <div className={classes.messageFoot}>
        {message.failed ? (
          <>
            <span className={classes.badText}>{t("message.failed")}</span>
            <UnstyledButton onClick={() => onRepeat(message)}>{t("message.repeat")}</UnstyledButton>
            <UnstyledButton onClick={() => onDrop(message.messageId)}>
              {t("message.drop")}
            </UnstyledButton>
          </>
        ) : (
          <span>{t("message.sending")}</span>
        )}
      </div>
    </div>
  );
}

type ThinkingProps = {
  row: ThinkingRow;
  opened: boolean;
  onToggle: (key: string, opened: boolean) => void;
};

export const ThinkingView = memo(function ThinkingView({ row, opened, onToggle }: ThinkingProps) {
  const { t } = useTranslation();
  return (
    <div className={classes.thinking} data-testid="thinking">
      <UnstyledButton
        className={classes.thinkingHead}
        aria-expanded={opened}
        onClick={() => onToggle(row.key, !opened)}
      >
        <IconChevronRight size={14} className={classes.chevron} data-open={opened || undefined} />
        <span>{t("thinking.done")}</span>
        {!opened && <span className={classes.thinkingHint}>{shorten(row.text)}</span>}
      </UnstyledButton>
      {opened && <div className={classes.thinkingText}>{row.text}</div>}
    </div>
  );
});

/** What the model writes now. Only its last paragraph is parsed again on a frame. */
export function LiveView({ live }: { live: Live }) {
  const { t } = useTranslation();
  return (
    <div data-testid="live" aria-live="off">
      {live.thinking && !live.text && (
        <div className={classes.thinking}>
          <div className={classes.thinkingHead} data-live>
            <span>{t("thinking.now")}</span>
          </div>
          <div className={classes.thinkingText}>{tail(live.thinking)}</div>
        </div>
      )}
      {live.text && (
        <div className={classes.answer} data-live>
          {live.partial && "…"}
          {paragraphs(live.text).map((piece, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: text only grows at its end
            <Markdown key={at} text={piece} />
          ))}
        </div>
      )}
      {live.calls.map((call) => (
        <div key={call.callId} className={classes.writing}>
          <span className={classes.toolName}>{call.name}</span>
          <span>{t("tool.writing", { count: call.size })}</span>
        </div>
      ))}
    </div>
  );
}

export const DoneView = memo(function DoneView({ row }: { row: DoneRow }) {
  const { t } = useTranslation();
  if (row.reason === "completed") {
    return (
      <>
        {row.answer && <Answer answer={row.answer} />}
        <div className={classes.end}>
          <hr className={classes.rule} aria-label={t("done.completed")} />
          <MomentMenu at={row.seq} />
        </div>
      </>
    );
  }
  const bad = row.reason === "failed";
  return (
    <div className={classes.notice} data-kind={bad ? "bad" : "ask"} data-testid="done">
      {bad ? <IconAlertTriangle size={16} /> : <IconPlayerStop size={16} />}
      <div>
        <strong>{t(`done.${row.reason}`)}</strong>
        {row.detail && <p>{row.detail}</p>}
      </div>
    </div>
  );
});

/** The object that the message asked for. */
function Answer({ answer }: { answer: JsonObject }) {
  const { t } = useTranslation();
  return (
    <section className={`${classes.part} ${classes.structured}`} data-testid="structured-answer">
      <div className={classes.partName}>{t("done.answer")}</div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long output must scroll by keyboard too */}
      <pre tabIndex={0}>{JSON.stringify(answer, null, 2)}</pre>
    </section>
  );
}

export const ErrorView = memo(function ErrorView({ row }: { row: ErrorRow }) {
  const { t } = useTranslation();
  return (
    <div
      className={classes.notice}
      data-kind={row.severity === "warning" ? "ask" : "bad"}
      data-testid="event-error"
    >
      <IconAlertTriangle size={16} />
      <div>
        <strong>{row.message}</strong>
        {row.hint && <p>{row.hint}</p>}
        {row.retryIn !== null && <p>{t("error.retry", { seconds: Math.ceil(row.retryIn) })}</p>}
      </div>
    </div>
  );
});

export const ResumedView = memo(function ResumedView({ row }: { row: ResumedRow }) {
  const { t } = useTranslation();
  return (
    <div className={classes.notice} data-testid="resumed">
      <IconRefresh size={16} />
      <div>
        <strong>{t("resumed.title")}</strong>
        {row.sealed > 0 && <p>{t("resumed.sealed", { count: row.sealed })}</p>}
        {row.repeated > 0 && <p>{t("resumed.repeated", { count: row.repeated })}</p>}
      </div>
    </div>
  );
});

export const InterruptView = memo(function InterruptView({ row }: { row: InterruptRow }) {
  const { t } = useTranslation();
  return (
    <div className={classes.aside}>
      {row.by ? t("interrupt.by", { by: row.by }) : t("interrupt.requested")}
    </div>
  );
});

/** The end of a long thought: what is being thought now. */
function tail(text: string): string {
  const longest = 600;
  return text.length > longest ? `…${text.slice(-longest)}` : text;
}
