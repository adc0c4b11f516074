/** Tokens used: both figures in one, each on hover, and a dash where there are none. */
import { VisuallyHidden } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { count } from "./format";

type Props = {
  input?: number;
  output?: number /** With the word behind the number. */;
  unit?: boolean;
};

export function Tokens({ input = 0, output = 0, unit = false }: Props) {
  const { t, i18n } = useTranslation();
  const total = input + output;
  if (total === 0) {
    return (
      <span title={t("usage.none")}>
        <span aria-hidden="true">–</span>
        <VisuallyHidden>{t("usage.none")}</VisuallyHidden>
      </span>
    );
  }
  const figure = count(total, i18n.language);
  const exact = (value: number) => value.toLocaleString(i18n.language);
  return (
    <span title={t("usage.title", { input: exact(input), output: exact(output) })}>
      {unit ? t("usage.tokens", { tokens: figure }) : figure}
    </span>
  );
}
