/**
 * One decision: what the agent wants to do, why it is asked, what would change, and two buttons.
 * Stands above the message field of its session, and in the inbox.
 */
import { Button, Kbd, Textarea } from "@mantine/core";
import { IconHandStop } from "@tabler/icons-react";
import type { TFunction } from "i18next";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { DiffView } from "../diff/DiffView";
import { AlwaysAllow } from "./AlwaysAllow";
import { Arguments } from "./Arguments";
import classes from "./approval.module.css";
import type { Pending } from "./fold";
import { patternFor } from "./pattern";
import { parseReason, type Reason } from "./reason";
import { summarize } from "./summary";
import { useApprovalKeys } from "./useApprovalKeys";

export type Verdict = { decision: "allow" | "deny"; note?: string };

type Props = {
  approval: Pending;
  agentId: string;
  /** The agent's name, where it is not clear from the page. */
  agentName?: string;
  /** How many more wait behind this one. */
  more?: number;
  /** Whether the keyboard decides this one. */
  active: boolean;
  /** Takes the focus when it appears, unless a person is writing. */
  takesFocus?: boolean;
  pending: boolean;
  onDecide: (verdict: Verdict) => void;
};

export function ApprovalCard(props: Props) {
  const { approval, active, pending, onDecide } = props;
  const { t } = useTranslation();
  const [noteOpen, setNoteOpen] = useState(false);
  const [note, setNote] = useState("");
  const card = useRef<HTMLElement>(null);
  // A rule of this agent's own would not let its sub-agent pass.
  const delegated = parseReason(approval.reason).kind === "delegated";
  const pattern = delegated ? null : patternFor(approval.name, approval.arguments);
  const [always, setAlways] = useState(false);
  const allow = () => !pending && onDecide({ decision: "allow" });
  const deny = () => !pending && onDecide({ decision: "deny", ...(note.trim() && { note }) });
  const closeNote = () => {
    setNoteOpen(false);
    card.current?.focus();
  };
  useApprovalKeys(active ? approval.call_id : null, noteOpen, {
    allow,
    always: () => pattern && setAlways(true),
    deny,
    openNote: () => setNoteOpen(true),
    closeNote,
  });
  useEffect(() => {
    if (props.takesFocus && !isWriting()) card.current?.focus({ preventScroll: true });
  }, [props.takesFocus]);

  return (
    <section
      ref={card}
      className={classes.card}
      tabIndex={-1}
      aria-label={t("approval.label", { tool: approval.name })}
      data-active={active || undefined}
      data-testid="approval"
      data-call={approval.call_id}
    >
      <header className={classes.head}>
        <IconHandStop size={18} aria-hidden />
        <div className={classes.title}>
          <strong>
            {props.agentName
              ? t("approval.titleOf", { agent: props.agentName, tool: approval.name })
              : t("approval.title", { tool: approval.name })}
          </strong>
          <code>{summarize(approval.arguments)}</code>
        </div>
        {Boolean(props.more) && (
          <span className={classes.more}>{t("approval.more", { count: props.more })}</span>
        )}
      </header>
      <p className={classes.reason}>{useReasonWords(approval.reason)}</p>
      <div className={classes.detail}>
        <Arguments args={approval.arguments} hideLong={approval.preview !== ""} />
        {approval.preview && <DiffView patch={approval.preview} plain />}
      </div>
      {noteOpen ? (
        <div className={classes.note}>
          <Textarea
            data-approval-note
            autoFocus
            autosize
            minRows={1}
            maxRows={4}
            flex={1}
            aria-label={t("approval.note")}
            placeholder={t("approval.notePlaceholder")}
            value={note}
            onChange={(event) => setNote(event.currentTarget.value)}
          />
          <Button
            color="red"
            loading={pending}
            onClick={deny}
            rightSection={<Kbd size="xs">↵</Kbd>}
          >
            {t("approval.deny")}
          </Button>
          <Button variant="default" onClick={closeNote}>
            {t("action.cancel")}
          </Button>
        </div>
      ) : (
        <div className={classes.buttons}>
          <Button loading={pending} onClick={allow} rightSection={active && <Kbd size="xs">↵</Kbd>}>
            {t("approval.allow")}
          </Button>
          <Button
            variant="default"
            disabled={pending}
            onClick={() => setNoteOpen(true)}
            rightSection={active && <Kbd size="xs">Esc</Kbd>}
          >
            {t("approval.denyWithNote")}
          </Button>
          {pattern && (
            <Button
              variant="subtle"
              color="gray"
              disabled={pending}
              onClick={() => setAlways(true)}
              rightSection={active && <Kbd size="xs">A</Kbd>}
            >
              {t("approval.always")}
            </Button>
          )}
        </div>
      )}
      {always && pattern && (
        <AlwaysAllow
          agentId={props.agentId}
          pattern={pattern}
          onClose={() => setAlways(false)}
          onAllow={allow}
        />
      )}
    </section>
  );
}

function useReasonWords(text: string): string {
  const { t } = useTranslation();
  return reasonWords(t, parseReason(text));
}

function reasonWords(t: TFunction, reason: Reason): string {
  switch (reason.kind) {
    case "delegated":
      return t("approval.reason.delegated", {
        post: reason.post,
        reason: reasonWords(t, reason.reason),
      });
    case "mode":
      return t(`approval.reason.mode.${reason.mode}`);
    case "rule":
      return t("approval.reason.rule", { pattern: reason.pattern });
    case "words":
      return reason.text;
  }
}

/** Somebody writes a message: the approval waits its turn and takes no focus. */
function isWriting(): boolean {
  const { activeElement } = document;
  return activeElement instanceof HTMLTextAreaElement || activeElement instanceof HTMLInputElement;
}
