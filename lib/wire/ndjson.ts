/**
 * NDJSON: messages and events, each a line of JSON.
 *
 * @module
 */

import type { ControlEvent } from "../event.ts";
import type { Message } from "../message.ts";
import { encodeEnvelope } from "./json.ts";

/** The media type of NDJSON. */
export const NDJSON = "application/x-ndjson";

/** Messages, an envelope a line, line ends included. */
export function encodeLines(messages: readonly Message[]): string {
  let lines = "";
  for (const message of messages) lines += `${encodeEnvelope(message)}\n`;
  return lines;
}

/** An event as JSON on one line, without a line end: `{"event":"gap","cursor":"…","topic":"…",…}`. */
export function encodeEvent(event: ControlEvent): string {
  return JSON.stringify(event);
}
