/**
 * Texts in headers: percent-encoded UTF-8, so that any text fits and none can end its line.
 *
 * @module
 */

const strictDecoder = new TextDecoder("utf-8", { fatal: true });
// Everything but printable ASCII without the percent sign; a blank at an end would be lost.
const UNFIT = /[^\x21-\x24\x26-\x7e]+/g;

/** Writes a text for a header. It must be well-formed: no half of a character. */
export function encodePercent(text: string): string {
  return text.replace(UNFIT, encodeURIComponent);
}

/**
 * Reads a text from a header as platforms give it, a character for each byte: bytes beyond ASCII are UTF-8, and percent
 * signs begin encoded ones. `undefined` for anything else.
 */
export function decodePercent(bytes: string): string | undefined {
  const text = decodeBytes(bytes);
  if (text === undefined || !text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The same for a text in which percent signs are nothing special. */
export function decodeBytes(bytes: string): string | undefined {
  if (/^[\0-\x7f]*$/.test(bytes)) return bytes;
  try {
    return strictDecoder.decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
