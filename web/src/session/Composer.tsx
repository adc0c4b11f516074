/** The message field. While the agent works, what is sent steers it at its next step. */
import { ActionIcon, Textarea } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import { type KeyboardEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { randomId } from "../api/ids";
import { toastProblem } from "../shell/toast";
import { composerKey } from "./composer";
import type { SessionState } from "./events";
import classes from "./session.module.css";
import type { SessionStore } from "./store";

export function Composer({ store, state }: { store: SessionStore; state: SessionState }) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const send = () => {
    const message = text.trim();
    if (!message) return;
    setText("");
    void store.send(message, randomId()).catch(toastProblem);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (composerKey(event.nativeEvent) !== "send") return;
    event.preventDefault();
    send();
  };
  return (
    <div className={classes.composer}>
      <Textarea
        classNames={{ input: classes.composerInput }}
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
      />
      <ActionIcon
        size={34}
        radius="xl"
        disabled={!text.trim()}
        aria-label={t("composer.send")}
        title={t("composer.sendHint")}
        onClick={send}
      >
        <IconArrowUp size={18} />
      </ActionIcon>
    </div>
  );
}
