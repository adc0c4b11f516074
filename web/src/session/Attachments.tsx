/** What is attached to a message or a result: pictures to look at, documents to save. */
import { Modal, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { attachmentQuery } from "../api/queries";
import { saveFile } from "../shell/download";
import { toastProblem } from "../shell/toast";
import { isPicture } from "./attachments";
import classes from "./attachments.module.css";
import type { Attached } from "./events";
import { usePlace } from "./place";
import { Thumbnail, useObjectUrl } from "./Thumbnail";

export function Attachments({ attachments }: { attachments: readonly Attached[] }) {
  if (attachments.length === 0) return null;
  return (
    <div className={classes.list}>
      {attachments.map((one) => (
        <Attachment key={one.digest} attached={one} />
      ))}
    </div>
  );
}

function Attachment({ attached }: { attached: Attached }) {
  const { t } = useTranslation();
  const { agentId, sessionId } = usePlace();
  const [opened, setOpened] = useState(false);
  const { digest, name = "", media_type: mediaType, size } = attached;
  const picture = isPicture(mediaType);
  const query = attachmentQuery(agentId, sessionId, digest);
  // A document is read when somebody wants it: it has no look of its own here.
  const { data: blob, refetch } = useQuery({ ...query, enabled: picture });
  const save = async () => {
    const { data, error } = blob ? { data: blob, error: null } : await refetch();
    if (data) saveFile(name || `${digest.slice(0, 12)}.pdf`, data, mediaType);
    else toastProblem(error);
  };
  const title = name || t("attachment.unnamed");
  return (
    <>
      <UnstyledButton
        aria-label={t(picture ? "attachment.look" : "attachment.save", { name: title })}
        onClick={() => (picture ? setOpened(true) : void save())}
      >
        <Thumbnail name={name} mediaType={mediaType} size={size} blob={blob} />
      </UnstyledButton>
      <Modal opened={opened} onClose={() => setOpened(false)} size="auto" title={title} centered>
        {blob && <Picture blob={blob} name={title} />}
      </Modal>
    </>
  );
}

function Picture({ blob, name }: { blob: Blob; name: string }) {
  const url = useObjectUrl(blob);
  return url && <img className={classes.picture} src={url} alt={name} />;
}
