/** Browser notifications: off until someone asks for them, remembered per browser. */
const STORED = "longhouse-notify";

export function canNotify(): boolean {
  return "Notification" in globalThis && Notification.permission !== "denied";
}

export function notifies(): boolean {
  return canNotify() && Notification.permission === "granted" && read() === "yes";
}

/** Switches them; the browser asks the person once. Returns whether they are on now. */
export async function switchNotify(wanted: boolean): Promise<boolean> {
  if (wanted && canNotify()) await Notification.requestPermission();
  try {
    localStorage.setItem(STORED, wanted ? "yes" : "no");
  } catch {
    // Storage is switched off: they stay off.
  }
  return notifies();
}

function read(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}
