/** A call's arguments by name: short ones in a line, long ones in a box. */
import { useTranslation } from "react-i18next";
import type { JsonObject } from "./events";
import { argumentList } from "./summary";
import classes from "./transcript.module.css";

type Props = {
  args: JsonObject;
  malformed?: string;
  /** Long texts stand in the diff already. */
  hideLong?: boolean;
};

export function Arguments({ args, malformed = "", hideLong = false }: Props) {
  const { t } = useTranslation();
  const list = argumentList(args).filter((one) => !(hideLong && one.long));
  if (list.length === 0 && !malformed) return null;
  return (
    <div className={classes.part}>
      <div className={classes.partName}>{t("tool.arguments")}</div>
      <dl className={classes.arguments}>
        {list.map(({ name, text, long }) => (
          <div key={name} data-long={long || undefined}>
            <dt>{name}</dt>
            <dd>{long ? <pre>{text}</pre> : <code>{text}</code>}</dd>
          </div>
        ))}
      </dl>
      {malformed && <pre>{malformed}</pre>}
    </div>
  );
}
