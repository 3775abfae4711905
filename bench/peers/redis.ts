/**
 * The little of the Redis protocol (RESP2) that a load needs.
 *
 * @module
 */

const encoder = new TextEncoder();
const CR = 0x0d;
const DIGIT_0 = 0x30;
const BULK = "$".charCodeAt(0);
const LINE_END = "\r\n";

/** What adds a message to a stream, as words of a command. */
export function addWords(key: string, payload: string): string[] {
  return ["XADD", key, "*", "p", payload];
}

/** Adds a message to a stream. */
export function encodeAdd(key: string, payload: string): Uint8Array {
  const words = addWords(key, payload);
  return encoder.encode(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`);
}

/** Whether the answer that begins at `from` is a string, such as the id of the message. */
export function isBulk(bytes: Uint8Array, from: number): boolean {
  return bytes[from] === BULK;
}

/** How long that answer is; `Infinity` if it isn't all there yet. */
export function bulkLength(bytes: Uint8Array, from: number, to: number): number {
  const end = bytes.indexOf(CR, from);
  if (end < 0 || end >= to) return Infinity;
  let textLength = 0;
  for (let at = from + 1; at < end; at++) textLength = textLength * 10 + bytes[at]! - DIGIT_0;
  const length = end + LINE_END.length + textLength + LINE_END.length - from;
  return from + length > to ? Infinity : length;
}
