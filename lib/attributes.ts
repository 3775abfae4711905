/**
 * What a publisher may say of a payload: content type, headers and key, checked once, before anything is stored, so that
 * no message can be published that some format cannot carry.
 *
 * @module
 */

import { BusError, quote } from "./errors.ts";
import type { Attributes } from "./message.ts";

/** The most headers a message may have. */
export const MAX_HEADERS = 64;
/** The most that their names and values may have together, in bytes of UTF-8. */
export const MAX_HEADER_BYTES = 8192;
/** The longest key, in bytes of UTF-8; that of an idempotency key, too. */
export const MAX_KEY_BYTES = 256;
const MAX_CONTENT_TYPE_LENGTH = 255;
/** How names begin that only the server gives. */
export const SERVER_PREFIX = "msgbus-";

// RFC 9110 section 5.6.2.
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// Section 8.3.1, of what fits into a header everywhere: printable ASCII. There is one way to read any text, because of two
// a regular expression tries all combinations.
const MEDIA_TYPE =
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: *;(?: *[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[ !#-[\]-~]|\\[ -~])*"))?)*$/;
// C0, DEL, C1 and what is half of a character.
const UNSPEAKABLE = /[\p{Cc}\p{Cs}]/u;

const encoder = new TextEncoder();

/**
 * Checks what a publisher says of a payload, and brings the names of headers into lower case; `undefined` if it says
 * nothing.
 *
 * A content type is a media type of at most 255 ASCII characters. There are at most 64 headers; names are tokens (RFC 9110) and don't
 * begin with `msgbus-`, values have no control characters, and together they have at most 8 KiB. A key has 1 to 256
 * bytes and no control characters.
 *
 * @throws {BusError} `bad_header`, `headers_too_large`.
 */
export function attributesOf(given: Attributes): Attributes | undefined {
  const { contentType, headers, key } = given;
  if (contentType === undefined && headers === undefined && key === undefined) return undefined;
  if (contentType !== undefined) assertContentType(contentType);
  if (key !== undefined) assertKey("key", key);
  const checked = headers === undefined ? undefined : headersOf(headers);
  return contentType === undefined && checked === undefined && key === undefined
    ? undefined
    : { contentType, headers: checked, key };
}

/** The same with headers that the server sets. */
export function withServerHeaders(
  attributes: Attributes | undefined,
  more: Readonly<Record<string, string>>,
): Attributes {
  const headers = Object.assign(Object.create(null), attributes?.headers, more);
  return { contentType: attributes?.contentType, headers, key: attributes?.key };
}

/** The same without headers that the server has set; `undefined` if nothing is left. */
export function withoutServerHeaders(attributes: Attributes | undefined): Attributes | undefined {
  if (attributes?.headers === undefined) return attributes;
  const headers = Object.create(null);
  for (const [name, value] of Object.entries(attributes.headers)) {
    if (!name.startsWith(SERVER_PREFIX)) headers[name] = value;
  }
  const { contentType, key } = attributes;
  const left = Object.keys(headers).length === 0 ? undefined : headers;
  return contentType === undefined && key === undefined && left === undefined
    ? undefined
    : { contentType, headers: left, key };
}

/**
 * Checks a key of a message, or of its publish; `name` is what errors call it.
 *
 * @throws {BusError} `bad_header`, `headers_too_large`.
 */
export function assertKey(name: string, key: string): void {
  if (typeof key !== "string" || key === "") throw new BusError("bad_header", `Bad ${name}: it is empty`);
  if (UNSPEAKABLE.test(key)) throw new BusError("bad_header", `Bad ${name} ${quote(key)}: a control character`);
  if (encoder.encode(key).length > MAX_KEY_BYTES) {
    throw new BusError("headers_too_large", `Bad ${name} ${quote(key)}: longer than ${MAX_KEY_BYTES} bytes`);
  }
}

/**
 * Checks what a payload, or the answer to a request, is said to be.
 *
 * @throws {BusError} `bad_header`.
 */
export function assertContentType(contentType: string): void {
  const fits = typeof contentType === "string" && contentType.length <= MAX_CONTENT_TYPE_LENGTH;
  if (fits && MEDIA_TYPE.test(contentType)) return;
  throw new BusError("bad_header", `Bad content type ${shown(contentType)}: not a media type such as text/plain`);
}

function headersOf(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  // From JavaScript anything may come.
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new BusError("bad_header", "Bad headers: not an object of texts");
  }
  const entries = Object.entries(given);
  if (entries.length === 0) return undefined;
  if (entries.length > MAX_HEADERS) {
    throw new BusError("headers_too_large", `Cannot publish ${entries.length} headers: more than ${MAX_HEADERS}`);
  }
  // Without a prototype, so that no name is special.
  const headers: Record<string, string> = Object.create(null);
  let bytes = 0;
  for (const [given, value] of entries) {
    const name = given.toLowerCase();
    if (!TOKEN.test(name)) throw new BusError("bad_header", `Bad header name ${quote(given)}`);
    if (name.startsWith(SERVER_PREFIX)) {
      throw new BusError("bad_header", `Bad header name ${quote(given)}: those with msgbus- are the server's`);
    }
    if (name in headers) throw new BusError("bad_header", `Header ${quote(name)} is given twice`);
    if (typeof value !== "string" || UNSPEAKABLE.test(value)) {
      throw new BusError("bad_header", `Bad value of header ${quote(name)}: ${shown(value)}`);
    }
    headers[name] = value;
    bytes += name.length + encoder.encode(value).length;
  }
  if (bytes > MAX_HEADER_BYTES) {
    throw new BusError("headers_too_large", `Cannot publish ${bytes} bytes of headers: more than ${MAX_HEADER_BYTES}`);
  }
  return headers;
}

/** What somebody gave for a text. What is none is not shown: not everything can be made one. */
function shown(value: unknown): string {
  return typeof value === "string" ? quote(value) : `a value of type ${typeof value}`;
}
