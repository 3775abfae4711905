/**
 * Answers of an HTTP server, looked at for their status and length only.
 *
 * @module
 */

const STATUS_AT = "HTTP/1.1 ".length;
const DIGIT_2 = 0x32;
const CR = 0x0d;
const HEAD_END = "\r\n\r\n".length;
const CONTENT_LENGTH = new TextEncoder().encode("content-length: ");
const LOWER_CASE = 0x20;

/** How many of the bytes up to `to` are the answer that begins at `from`; `Infinity` if they are not all there yet. */
export function answerLength(bytes: Uint8Array, from: number, to: number): number {
  let bodyLength = 0;
  for (let at = bytes.indexOf(CR, from); at >= 0 && at <= to - HEAD_END; at = bytes.indexOf(CR, at + 2)) {
    if (bytes[at + 2] === CR) {
      const length = at + HEAD_END + bodyLength - from;
      return from + length > to ? Infinity : length;
    }
    if (startsWith(bytes, at + 2, CONTENT_LENGTH)) bodyLength = numberAt(bytes, at + 2 + CONTENT_LENGTH.length);
  }
  return Infinity;
}

/** Whether the answer that begins at `from` has a status of 200 to 299. */
export function isSuccess(bytes: Uint8Array, from: number): boolean {
  return bytes[from + STATUS_AT] === DIGIT_2;
}

/** `text` is in lower case; what else than letters is in it has that bit set anyway. */
function startsWith(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if ((bytes[at + i]! | LOWER_CASE) !== text[i]) return false;
  return true;
}

function numberAt(bytes: Uint8Array, at: number): number {
  let number = 0;
  for (; bytes[at] !== CR; at++) number = number * 10 + bytes[at]! - 0x30;
  return number;
}
