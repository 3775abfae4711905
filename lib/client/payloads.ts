/**
 * What is published, as the body of a request.
 *
 * @module
 */

import { BusError } from "../errors.ts";

const encoder = new TextEncoder();
const LF = 0x0a;
const CR = 0x0d;

/** The bytes of a payload; a text in UTF-8. */
export function bytesOf(payload: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof payload === "string" ? encoder.encode(payload) : payload as Uint8Array<ArrayBuffer>;
}

/**
 * One line for each payload.
 *
 * @throws {BusError} `bad_request` for no payloads, and for one that is empty or contains a line feed.
 */
export function joinLines(payloads: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  if (payloads.length === 0) throw new BusError("bad_request", "Cannot publish no payloads");
  const lines = payloads.map((payload, index) => {
    const bytes = bytesOf(payload);
    const fault = bytes.length === 0 ? "is empty" : bytes.includes(LF) ? "contains a line feed" : undefined;
    if (fault === undefined) return bytes;
    throw new BusError(
      "bad_request",
      `Cannot publish ${payloads.length} payloads at once: number ${index + 1} ${fault}`,
    );
  });
  const body = new Uint8Array(lines.reduce((length, line) => length + line.length + 2, 0));
  let at = 0;
  for (const line of lines) {
    body.set(line, at);
    at += line.length;
    // The server takes one CR for a part of the line end.
    if (line.at(-1) === CR) body[at++] = CR;
    body[at++] = LF;
  }
  return body.subarray(0, at);
}
