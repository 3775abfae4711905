/**
 * Which names a pattern means, said as plainly as possible: the reference for everything that finds them faster.
 *
 * @module
 */

import { hasWildcard } from "../lib/topic_pattern.ts";

/** Whether one item of a `TopicPattern` means the topic of this canonical name. Takes time in proportion to both. */
export function matchesItem(item: string, name: string): boolean {
  if (!hasWildcard(item)) return item === name;
  const wanted = item.split("/");
  const segments = name.split("/");
  const deep = wanted.at(-1) === "**";
  if (deep ? segments.length < wanted.length : segments.length !== wanted.length) return false;
  return segments.every((segment, at) => {
    const want = wanted[Math.min(at, wanted.length - 1)]!;
    return want === "*" || want === "**" ? !segment.startsWith("-") : segment === want;
  });
}
