/** Names for messages, chosen here so that a repeated send is one message. */

/** 128 random bits as hex. `crypto.randomUUID` is missing where the console is not on HTTPS. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
