/** Pictures and PDFs on their way to a message: what can go, and how it goes. */
import type { AttachmentBody } from "../../.client";
import { randomId } from "../api/ids";

/** What the server takes; it looks at the bytes, this at what the browser says of them. */
export const MEDIA_TYPES = [
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
  "application/pdf",
];
export const MOST_OF_A_MESSAGE = 20;

/** A file somebody chose, read once, so that it can be sent again. */
export type Picked = {
  readonly id: string;
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  readonly blob: Blob;
};

export type Picking = { picked: readonly Picked[]; refused: readonly File[] };

/** These files too, as far as they can be attached and there is room. Pure but for the ids. */
export function pick(before: readonly Picked[], files: Iterable<File>): Picking {
  const picked = [...before];
  const refused: File[] = [];
  for (const file of files) {
    if (!MEDIA_TYPES.includes(file.type) || picked.length >= MOST_OF_A_MESSAGE) refused.push(file);
    else {
      const { name, type: mediaType, size } = file;
      picked.push({ id: randomId(), name, mediaType, size, blob: file });
    }
  }
  return { picked, refused };
}

export function isPicture(mediaType: string): boolean {
  return mediaType.startsWith("image/");
}

/** As the API takes them. */
export function bodiesOf(picked: readonly Picked[]): Promise<AttachmentBody[]> {
  return Promise.all(
    picked.map(async ({ name, mediaType, blob }) => ({
      name,
      media_type: mediaType,
      data: await base64(blob),
    })),
  );
}

async function base64(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}
