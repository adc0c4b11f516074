/** A name for a new agent that no other has: the post's, with a number where it is taken. Pure. */
export function suggestName(post: string, taken: readonly string[]): string {
  const names = new Set(taken.map((name) => name.toLowerCase()));
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? post : `${post} ${number}`;
    if (!names.has(name.toLowerCase())) return name;
  }
}
