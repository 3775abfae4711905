/**
 * The rules of topic names: one canonical spelling for each topic, nothing in it that a path, a log line, a terminal
 * or a proxy could read as something else.
 *
 * @module
 */

import { BusError, quote } from "./errors.ts";

/** The longest topic name, in bytes of UTF-8. */
export const MAX_TOPIC_BYTES = 512;
/** The most segments (parts between slashes) a topic name may have. */
export const MAX_TOPIC_SEGMENTS = 16;

const encoder = new TextEncoder();

/**
 * Brings a topic name into its one spelling, by dropping leading and trailing slashes, and checks it.
 *
 * 1 to 512 bytes of UTF-8 in Unicode normal form C, at most 16 segments, none of them empty, `.` or `..` (nor anything
 * that compatibility normalisation turns into those); no control, line separator, bidirectional or zero-width control,
 * lone surrogate or non-character; none of `*`, `,`, `?`, `#`, `%`, `\`.
 *
 * @throws {BusError} `bad_topic`, or `not_nfc` for a name that only lacks normalisation.
 */
export function canonicalTopicName(name: string): string {
  let start = 0;
  let end = name.length;
  while (start < end && name.charCodeAt(start) === SLASH) start++;
  while (end > start && name.charCodeAt(end - 1) === SLASH) end--;
  const topic = start === 0 && end === name.length ? name : name.slice(start, end);
  assertTopicName(topic, name);
  return topic;
}

/**
 * Checks a topic name in its one spelling; `given` is what errors call it.
 *
 * @throws {BusError} `bad_topic`, `not_nfc`.
 */
export function assertTopicName(topic: string, given: string): void {
  const fault = topicNameFault(topic);
  if (fault !== undefined) throw new BusError("bad_topic", `Bad topic name ${quote(given)}: ${fault}`);
  if (topic.normalize("NFC") !== topic) {
    throw new BusError("not_nfc", `Bad topic name ${quote(given)}: not in Unicode normal form C`);
  }
}

/** Whether a topic could have this name, in its one spelling. */
export function isTopicName(name: string): boolean {
  return topicNameFault(name) === undefined && name.normalize("NFC") === name;
}

/**
 * Checks that clients may publish to a topic of this canonical name.
 *
 * @throws {BusError} `reserved` for the server's own names: `metrics`, and every name with a segment that begins
 * with `-`.
 */
export function assertPublishable(topic: string): void {
  if (isReserved(topic)) {
    throw new BusError("reserved", `Cannot publish to ${quote(topic)}: the name is the server's`);
  }
}

/** Whether only the server publishes to a topic of this canonical name. */
export function isReserved(topic: string): boolean {
  return topic.charCodeAt(0) === HYPHEN || topic.includes("/-") || isEndpoint(topic);
}

/** Whether a canonical name is an endpoint of the server (`-`, `-/…`, `metrics`) and so never a topic, not even to read. */
export function isEndpoint(name: string): boolean {
  return name === "metrics" || name === "-" || name.startsWith("-/");
}

const SLASH = 0x2f;
const HYPHEN = 0x2d;

function topicNameFault(topic: string): string | undefined {
  if (topic === "") return "it is empty";
  if (topic.length > MAX_TOPIC_BYTES || encoder.encode(topic).length > MAX_TOPIC_BYTES) {
    return `longer than ${MAX_TOPIC_BYTES} bytes`;
  }
  for (const character of topic) {
    const fault = characterFault(character.codePointAt(0)!);
    if (fault !== undefined) return fault;
  }
  const segments = topic.split("/");
  if (segments.length > MAX_TOPIC_SEGMENTS) return `more than ${MAX_TOPIC_SEGMENTS} segments`;
  if (segments.includes("")) return "an empty segment";
  // A full-width ".." would become ".." in whatever normalises it after us.
  const folded = topic.normalize("NFKC").split("/");
  if (folded.includes(".") || folded.includes("..")) return 'a segment "." or ".."';
  return undefined;
}

function characterFault(code: number): string | undefined {
  switch (code) {
    case 0x2a: // *
    case 0x2c: // ,
    case 0x3f: // ?
    case 0x23: // #
    case 0x25: // %
    case 0x5c: // \
      return `"${String.fromCharCode(code)}" is not allowed`;
  }
  if (code >= 0x20 && code < 0x7f) return undefined;
  const name = () => `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  if (code < 0x20 || code < 0xa0 || code === 0x2028 || code === 0x2029) return `${name()} is a control character`;
  if (
    code === 0xad || code === 0x61c || code === 0x180e || (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) || code === 0xfeff || (code >= 0xe0000 && code <= 0xe007f)
  ) {
    return `${name()} is invisible`;
  }
  if (code >= 0xd800 && code <= 0xdfff) return "it is not valid Unicode";
  if ((code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe) return `${name()} is not a character`;
  return undefined;
}
