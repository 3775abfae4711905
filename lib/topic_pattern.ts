/**
 * Which topics a subscription is to: one, several, or all whose names match a pattern.
 *
 * @module
 */

import { BusError, quote } from "./errors.ts";
import { assertTopicName, canonicalTopicName } from "./topic_name.ts";

/** The most names and patterns that one subscription may list. */
export const MAX_LISTED_TOPICS = 64;

/** What a subscription is to. */
export interface TopicPattern {
  /** The one spelling of it, for example `orders` or `orders/*,audit`. */
  readonly text: string;
  /** What it lists, each once: names, and patterns with `*` for a segment or `**` for all that follow. */
  readonly items: readonly string[];
  /** The topic, if it is a single one without wildcards. */
  readonly topic: string | undefined;
}

/**
 * Reads the topics of a subscription: a name; names and patterns separated by commas, at most 64; `orders/*` for every
 * topic with exactly one more segment; `orders/**` for every topic with one or more. A wildcard is a whole segment, `**`
 * only the last one. It doesn't match a segment that begins with `-`.
 *
 * @throws {BusError} `bad_topic` or `not_nfc`.
 */
export function parseTopicPattern(text: string): TopicPattern {
  if (!text.includes(",") && !text.includes("*")) {
    const topic = canonicalTopicName(text);
    return { text: topic, items: [topic], topic };
  }
  const listed = text.split(",");
  if (listed.length > MAX_LISTED_TOPICS) {
    throw new BusError("bad_topic", `Bad list of topics: ${listed.length} of them, more than ${MAX_LISTED_TOPICS}`);
  }
  const items = [...new Set(listed.map(canonicalItem))];
  return {
    text: items.join(","),
    items,
    topic: items.length === 1 && !hasWildcard(items[0]!) ? items[0]! : undefined,
  };
}

/** Whether one item of a {@linkcode TopicPattern} has a wildcard. */
export function hasWildcard(item: string): boolean {
  return item.includes("*");
}

function canonicalItem(item: string): string {
  if (!hasWildcard(item)) return canonicalTopicName(item);
  const segments = item.split("/");
  while (segments[0] === "") segments.shift();
  while (segments.at(-1) === "") segments.pop();
  segments.forEach((segment, at) => {
    if (segment === "*" || (segment === "**" && at === segments.length - 1)) return;
    if (!segment.includes("*")) return;
    const rule = segment === "**" ? "** stands for the last segments" : "a wildcard is a whole segment";
    throw new BusError("bad_topic", `Bad topic pattern ${quote(item)}: ${rule}`);
  });
  // What is left must be a name when the wildcards are replaced by some.
  const name = segments.map((segment) => segment.includes("*") ? "x".repeat(segment.length) : segment).join("/");
  assertTopicName(name, item);
  return segments.join("/");
}
