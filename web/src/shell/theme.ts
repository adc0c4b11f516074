/** The console's look in one place: colours, type and the defaults of components. */
import { Badge, Button, createTheme, Drawer, type MantineColorsTuple, Modal } from "@mantine/core";

const pine: MantineColorsTuple = [
  "#eef9f5",
  "#dcf0e9",
  "#b5e0d2",
  "#8bcfba",
  "#68c1a6",
  "#45a88b",
  "#27806a",
  "#1f6f5a",
  "#185a49",
  "#10463a",
];

/** Neutral, a little cool; 7 is the page, 6 a surface on it, 4 a line. */
const dark: MantineColorsTuple = [
  "#e3e6e8",
  "#bcc2c7",
  "#98a0a7",
  "#6f7880",
  "#353c42",
  "#2a3036",
  "#1f2428",
  "#15181b",
  "#101214",
  "#0b0c0e",
];

/** Darker where it is a button than Mantine's, so that white stands out on it. */
const red: MantineColorsTuple = [
  "#fdf0f0",
  "#fae0e0",
  "#f3bcbc",
  "#ec9595",
  "#e46f6f",
  "#d94b4b",
  "#cc3333",
  "#b42525",
  "#941d1d",
  "#741616",
];

const CHINESE = '"PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC"';

export const theme = createTheme({
  primaryColor: "pine",
  primaryShade: { light: 7, dark: 6 },
  colors: { pine, red, dark },
  fontFamily: `"Inter", system-ui, -apple-system, "Segoe UI", ${CHINESE}, sans-serif`,
  fontFamilyMonospace: `ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", ${CHINESE}, monospace`,
  headings: {
    fontWeight: "600",
    sizes: {
      h1: { fontSize: "1.5rem", lineHeight: "1.3" },
      h2: { fontSize: "1.125rem", lineHeight: "1.4" },
      h3: { fontSize: "0.9375rem", lineHeight: "1.45" },
    },
  },
  defaultRadius: "md",
  cursorType: "pointer",
  focusRing: "auto",
  respectReducedMotion: true,
  components: {
    Badge: Badge.extend({
      defaultProps: { variant: "default", tt: "none", fw: 500, fz: 12, h: 22, px: 9 },
    }),
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    Drawer: Drawer.extend({ styles: { title: { fontWeight: 600 } } }),
    Modal: Modal.extend({ styles: { title: { fontSize: "1.0625rem", fontWeight: 600 } } }),
  },
});
