/** G, then a letter, goes to a place; anywhere but in a field or a dialog. */
import { useRouter } from "@tanstack/react-router";
import { useEffect } from "react";
import { PLACES } from "./places";

/** Milliseconds in which the second key follows the first. */
const TOGETHER_MS = 1_200;

export function useGoKeys(): void {
  const router = useRouter();
  useEffect(() => {
    let began = Number.NEGATIVE_INFINITY;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isModified(event) || isTaken(event.target)) return;
      const place = PLACES.find((one) => one.key === event.key);
      if (place && event.timeStamp - began < TOGETHER_MS) {
        event.preventDefault();
        void router.navigate({ to: place.to });
      }
      began = event.key === "g" ? event.timeStamp : Number.NEGATIVE_INFINITY;
    };
    // Before the page's own keys: in the inbox, A after G is a place.
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, [router]);
}

function isModified(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat;
}

/** Somebody writes there, or a dialog has the keyboard. */
function isTaken(target: EventTarget | null): boolean {
  const field = target instanceof HTMLElement && target.closest("input, textarea, select");
  return Boolean(field) || document.querySelector("[role=dialog], [role=menu]") !== null;
}
