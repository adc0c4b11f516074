/** A picture or document, small: a look at it, its name and its size. */
import { IconFileTypePdf } from "@tabler/icons-react";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { bytes } from "../shell/format";
import { isPicture } from "./attachments";
import classes from "./attachments.module.css";

type Props = {
  name: string;
  mediaType: string;
  size: number;
  /** Its bytes, once they are there. */
  blob: Blob | undefined;
  /** What can be done with it: above its corner. */
  action?: ReactNode;
};

export function Thumbnail({ name, mediaType, size, blob, action }: Props) {
  const { t, i18n } = useTranslation();
  const picture = isPicture(mediaType);
  const url = useObjectUrl(picture ? blob : undefined);
  const title = name || t("attachment.unnamed");
  return (
    <div className={classes.thumbnail} title={title} data-testid="attachment">
      <div className={classes.look}>
        {picture && url && <img src={url} alt={title} />}
        {!picture && <IconFileTypePdf size={30} stroke={1.3} aria-hidden />}
      </div>
      <div className={classes.caption}>
        <span>{title}</span>
        <small>{bytes(size, i18n.language)}</small>
      </div>
      {action}
    </div>
  );
}

/** An address for bytes that are in memory, for as long as they are shown. */
export function useObjectUrl(blob: Blob | undefined): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => {
      setUrl(null);
      URL.revokeObjectURL(made);
    };
  }, [blob]);
  return url;
}
