/**
 * Server-sent events (WHATWG HTML, section 9.2): messages without an event name, everything else with one. Nothing in
 * them can break out of its line: an envelope is JSON without line ends, a cursor has only letters, digits and `@`.
 *
 * @module
 */

import type { ControlEvent } from "../event.ts";
import type { Message } from "../message.ts";
import { encodeEnvelope } from "./json.ts";
import { encodeEvent } from "./ndjson.ts";

/** The media type of server-sent events. */
export const EVENT_STREAM = "text/event-stream";

/** A message, with the position after it as its id. */
export function encodeSse(message: Message, cursor: string): string {
  return `id: ${cursor}\ndata: ${encodeEnvelope(message)}\n\n`;
}

/** An event between messages. Its data is what NDJSON has in a line. */
export function encodeSseEvent(event: ControlEvent): string {
  return `event: ${event.event}\nid: ${event.cursor}\ndata: ${encodeEvent(event)}\n\n`;
}

/** How long an `EventSource` waits before it connects again, in milliseconds. */
export function encodeRetry(waitMs: number): string {
  return `retry: ${waitMs}\n\n`;
}
