/** Language and colours: chosen per browser, at once. */
import { SegmentedControl, Stack, useMantineColorScheme } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { changeLanguage, LANGUAGES, type Language } from "../i18n";

export function LanguageSwitch() {
  const { t, i18n } = useTranslation();
  return (
    <SegmentedControl
      fullWidth
      size="xs"
      aria-label={t("preferences.language")}
      data={LANGUAGES.map(({ code, name }) => ({ value: code, label: name }))}
      value={i18n.language}
      onChange={(code) => void changeLanguage(code as Language)}
    />
  );
}

export function ThemeSwitch() {
  const { t } = useTranslation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const schemes = ["light", "dark", "auto"] as const;
  return (
    <SegmentedControl
      fullWidth
      size="xs"
      aria-label={t("preferences.theme")}
      data={schemes.map((value) => ({ value, label: t(`preferences.${value}`) }))}
      value={colorScheme}
      onChange={(value) => setColorScheme(value as (typeof schemes)[number])}
    />
  );
}

export function Preferences() {
  return (
    <Stack gap="xs">
      <LanguageSwitch />
      <ThemeSwitch />
    </Stack>
  );
}
