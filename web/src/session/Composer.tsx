/**
 * The message field, with pictures and PDFs by button, paste or drop. While the agent works, what
 * is sent steers it at its next step.
 */
import { ActionIcon, FileButton, Textarea, Tooltip } from "@mantine/core";
import { IconArrowUp, IconPaperclip, IconUpload, IconX } from "@tabler/icons-react";
import { type ClipboardEvent, type KeyboardEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { randomId } from "../api/ids";
import { toastProblem, toastWarning } from "../shell/toast";
import { MEDIA_TYPES, type Picked, pick } from "./attachments";
import classes from "./attachments.module.css";
import { composerKey } from "./composer";
import type { SessionState } from "./events";
import session from "./session.module.css";
import type { SessionStore } from "./store";
import { Thumbnail } from "./Thumbnail";
import { useFileDrop } from "./useFileDrop";

export function Composer({ store, state }: { store: SessionStore; state: SessionState }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const [picked, setPicked] = useState<readonly Picked[]>([]);
  const field = useRef<HTMLTextAreaElement>(null);
  const resetButton = useRef<() => void>(null);
  const empty = text.trim() === "" && picked.length === 0;
  const attach = (files: Iterable<File>) => {
    const { picked: all, refused } = pick(picked, files);
    setPicked(all);
    for (const file of refused) toastWarning(t("attachment.refused", { name: file.name }));
    resetButton.current?.(); // else the same file could not be chosen again
    field.current?.focus();
  };
  const dropping = useFileDrop(attach);
  const send = () => {
    if (empty) return;
    setText("");
    setPicked([]);
    void store.send(text.trim(), randomId(), picked).catch(toastProblem);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (composerKey(event.nativeEvent) !== "send") return;
    event.preventDefault();
    send();
  };
  const onPaste = (event: ClipboardEvent<HTMLTextAreaElement>) => {
    const { files } = event.clipboardData;
    // Text from an office program brings a picture of itself along: the text is what is meant.
    if (files.length === 0 || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    attach(files);
  };
  return (
    <div className={session.composer}>
      {picked.length > 0 && (
        <div className={`${classes.list} ${session.picked}`}>
          {picked.map((one) => (
            <Thumbnail
              key={one.id}
              {...one}
              action={
                <ActionIcon
                  className={classes.remove}
                  size={22}
                  radius="xl"
                  variant="default"
                  aria-label={t("attachment.remove", { name: one.name })}
                  onClick={() => setPicked(picked.filter((other) => other !== one))}
                >
                  <IconX size={13} />
                </ActionIcon>
              }
            />
          ))}
        </div>
      )}
      <div className={session.composerLine}>
        <FileButton
          multiple
          accept={MEDIA_TYPES.join(",")}
          resetRef={resetButton}
          onChange={attach}
        >
          {(props) => (
            <Tooltip label={t("attachment.add")} openDelay={400}>
              <ActionIcon
                {...props}
                size={34}
                radius="xl"
                variant="subtle"
                color="gray"
                aria-label={t("attachment.add")}
              >
                <IconPaperclip size={18} />
              </ActionIcon>
            </Tooltip>
          )}
        </FileButton>
        <Textarea
          ref={field}
          className={session.composerField}
          classNames={{ input: session.composerInput }}
          aria-label={t("composer.label")}
          placeholder={state === "ready" ? t("composer.placeholder") : t("composer.steer")}
          autosize
          minRows={1}
          maxRows={9}
          autoFocus
          variant="unstyled"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <ActionIcon
          size={34}
          radius="xl"
          disabled={empty}
          aria-label={t("composer.send")}
          title={t("composer.sendHint")}
          onClick={send}
        >
          <IconArrowUp size={18} />
        </ActionIcon>
      </div>
      {dropping && (
        <div className={classes.drop} role="status">
          <IconUpload size={30} stroke={1.4} aria-hidden />
          {t("attachment.drop")}
        </div>
      )}
    </div>
  );
}
