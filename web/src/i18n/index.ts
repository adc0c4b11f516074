/**
 * The console's languages. English comes with the first load; another language is fetched when it
 * is chosen. The choice is kept in this browser; the first one is the browser's own.
 */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./en";

export const LANGUAGES = [
  { code: "en", name: "English" },
  { code: "zh-CN", name: "简体中文" },
] as const;
export type Language = (typeof LANGUAGES)[number]["code"];

const STORED = "longhouse-language";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

export async function startI18n(): Promise<void> {
  await i18next.use(initReactI18next).init({
    resources: { en: { translation: en } },
    lng: "en",
    fallbackLng: "en",
    interpolation: { escapeValue: false },
  });
  await changeLanguage(chosenLanguage(stored(), navigator.languages));
}

export async function changeLanguage(language: Language): Promise<void> {
  if (language !== "en" && !i18next.hasResourceBundle(language, "translation")) {
    const { default: words } = await import("./zh-CN");
    i18next.addResourceBundle(language, "translation", words);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

/** The stored choice, else the first of the browser's languages that we speak. */
export function chosenLanguage(choice: string | null, wanted: readonly string[]): Language {
  for (const language of [choice ?? "", ...wanted]) {
    if (language.toLowerCase().startsWith("zh")) return "zh-CN";
    if (language.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

function stored(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

export default i18next;
