/**
 * Cuts markdown that still grows into pieces that no longer change and one that does, so that only
 * the last is parsed again on every frame. Pure. Pieces end at blank lines outside of code fences.
 */
export function paragraphs(text: string): string[] {
  const pieces: string[] = [];
  let open: string[] = [];
  let fence = "";
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    if (!fence && mark) fence = mark;
    else if (fence && mark.startsWith(fence) && line.trim() === mark) fence = "";
    if (line.trim() === "" && !fence) {
      if (open.length > 0) pieces.push(open.join("\n"));
      open = [];
    } else {
      open.push(line);
    }
  }
  if (open.length > 0) pieces.push(open.join("\n"));
  return pieces;
}
