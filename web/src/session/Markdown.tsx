/**
 * What an agent wrote, as inert markdown: no HTML of its own, no picture is fetched, links open
 * elsewhere and tell nothing about this page.
 */
import { IconPhoto } from "@tabler/icons-react";
import { memo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import classes from "./markdown.module.css";

const COMPONENTS: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  img: ({ alt, src }) => (
    <span className={classes.image} title={typeof src === "string" ? src : undefined}>
      <IconPhoto size={14} aria-hidden /> {alt || (typeof src === "string" ? src : "")}
    </span>
  ),
  table: ({ children }) => (
    <div className={classes.scroll}>
      <table>{children}</table>
    </div>
  ),
};
const PLUGINS = [remarkGfm];

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className={classes.markdown}>
      <ReactMarkdown remarkPlugins={PLUGINS} components={COMPONENTS}>
        {text}
      </ReactMarkdown>
    </div>
  );
});
