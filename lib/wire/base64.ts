/**
 * Base64 by the platform: `Uint8Array.toBase64` where it exists (Deno, browsers of 2025 on), `btoa` elsewhere.
 *
 * @module
 */

/** Encodes bytes in standard base64 with padding (RFC 4648 section 4). */
export const encodeBase64: (bytes: Uint8Array) => string = typeof Uint8Array.prototype.toBase64 === "function"
  ? (bytes) => bytes.toBase64()
  : encodeByBtoa;

/** Decodes standard base64. Throws a `SyntaxError` or `DOMException` for anything else. */
export const decodeBase64: (text: string) => Uint8Array<ArrayBuffer> = typeof Uint8Array.fromBase64 === "function"
  ? (text) => Uint8Array.fromBase64(text)
  : decodeByAtob;

// String.fromCharCode takes its bytes as arguments, and engines limit their number.
const CHUNK = 8192;

/** {@linkcode encodeBase64} for engines without `Uint8Array.toBase64`. */
export function encodeByBtoa(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(binary);
}

/** {@linkcode decodeBase64} for engines without `Uint8Array.fromBase64`. */
export function decodeByAtob(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
