/**
 * Numbers of things in words: `1 message`, `2 messages`.
 *
 * @module
 */

/** So many of something, which is named in the singular: `0 topics`, `1 topic`, `2 topics`. */
export function formatCount(count: number, thing: string): string {
  return `${count} ${pluralOf(thing, count)}`;
}

/** What so many of a thing are called: `topic` for one, `topics` for any other number. */
export function pluralOf(thing: string, count: number): string {
  return count === 1 ? thing : `${thing}s`;
}
