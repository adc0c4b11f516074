/** What pages need of a browser and jsdom has not: sizes, media queries, relative requests. */
import { configure } from "@testing-library/react";

/** Characters: enough to see what was there instead, and no whole page. */
const LONGEST_ERROR = 1_500;

/** Milliseconds that a test waits for what it expects to see. */
configure({
  asyncUtilTimeout: 15_000,
  getElementError: (message) => new Error(message?.slice(0, LONGEST_ERROR)),
});

/** Node knows no page that an address could be relative to. */
class PageRequest extends Request {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(typeof input === "string" ? new URL(input, location.href) : input, init);
  }
}
globalThis.Request = PageRequest;

globalThis.matchMedia = (query) => ({
  matches: query.includes("prefers-reduced-motion"),
  media: query,
  onchange: null,
  addListener: () => {},
  removeListener: () => {},
  addEventListener: () => {},
  removeEventListener: () => {},
  dispatchEvent: () => false,
});

class NoObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
  takeRecords() {
    return [];
  }
}
globalThis.ResizeObserver = NoObserver;
globalThis.IntersectionObserver = NoObserver as unknown as typeof IntersectionObserver;

/** Tall enough that nothing of a transcript is left undrawn. */
const SCREEN = { width: 1280, height: 6_000 };
const ROW_HEIGHT = 40;
Object.defineProperties(HTMLElement.prototype, {
  offsetWidth: { get: () => SCREEN.width },
  offsetHeight: {
    get(this: HTMLElement) {
      return "index" in this.dataset ? ROW_HEIGHT : SCREEN.height;
    },
  },
  clientWidth: { get: () => SCREEN.width },
  clientHeight: { get: () => SCREEN.height },
});
// Everything is in sight: what floats beside something hides when that is out of sight.
Element.prototype.getBoundingClientRect = () => new DOMRect(0, 0, 100, 20);
Element.prototype.scrollIntoView = () => {};
Element.prototype.scrollTo = () => {};
window.scrollTo = () => {};
URL.createObjectURL = () => "blob:nothing";
URL.revokeObjectURL = () => {};
Object.defineProperty(document, "fonts", { value: new EventTarget() });
