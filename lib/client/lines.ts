/**
 * The lines that a server sends a subscriber: messages, and events between them.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { ControlEvent, GapReason } from "../event.ts";
import type { Message } from "../message.ts";
import { decodeEnvelope } from "../wire/json.ts";

/** An event of a server that is newer than this client; only its position is of use. */
export interface OtherEvent {
  /** Not a word of {@linkcode ControlEvent}. */
  readonly event: "other";
  /** The position after it, if it has one. */
  readonly cursor: string | undefined;
}

/** A line, read. */
export type Line = Message | ControlEvent | OtherEvent;

// An envelope begins with its id. Looked at instead of parsed, so that nothing is parsed twice.
const EVENT = /^\s*\{\s*"event"\s*:/;

/** Cuts a frame into its lines; a server without the subprotocol sends one a frame, without its end. */
export function linesOf(frame: string): string[] {
  return frame.includes("\n") ? frame.split("\n").filter((line) => line !== "" && line !== "\r") : frame ? [frame] : [];
}

/**
 * Reads a line: an envelope, or an event `{"event":…,"cursor":…}`. Members, reasons and events it does not know are
 * accepted.
 *
 * @throws {BusError} `unexpected_answer` if it is neither.
 */
export function decodeLine(line: string): Line {
  return EVENT.test(line) ? decodeEvent(line) : decodeEnvelope(line);
}

function decodeEvent(line: string): ControlEvent | OtherEvent {
  try {
    const { event, cursor, topic, from, to, reason } = JSON.parse(line) as Record<string, unknown>;
    switch (event) {
      case "gap":
        return {
          event,
          cursor: text(cursor, "cursor"),
          topic: text(topic, "topic"),
          from: idOrNull(from, "from"),
          to: idOrNull(to, "to"),
          reason: text(reason, "reason") as GapReason,
        };
      case "deleted":
        return { event, cursor: text(cursor, "cursor"), topic: text(topic, "topic") };
      case "caught-up":
      case "bye":
        return { event, cursor: text(cursor, "cursor") };
      default:
        return { event: "other", cursor: typeof cursor === "string" ? cursor : undefined };
    }
  } catch (cause) {
    throw new BusError("unexpected_answer", `Cannot read an event: ${quote(line)}`, { cause });
  }
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new TypeError(`${name} is ${value}`);
  return value;
}

function idOrNull(value: unknown, name: string): number | null {
  if (value !== null && value !== undefined && !Number.isSafeInteger(value)) throw new TypeError(`${name} is ${value}`);
  return value as number | undefined ?? null;
}
