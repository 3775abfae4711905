/**
 * Where a reader begins, as people write it: `earliest`, `latest`, `42`, `42@jf6ynu4k`, `2026-11-23T10:00:00Z`, `10m`,
 * `last:100`, `Tjf6ynu4k`.
 *
 * @module
 */

import { parseCursor, type Position } from "../message.ts";
import { parseDuration } from "./duration.ts";

/**
 * Where a reader begins.
 *
 * - `latest`: with the next message to be published; `earliest`: with the oldest retained one.
 * - A {@linkcode Position}: with this id. If the epoch is another one, or the id is beyond the end of the log, that is
 *   a gap (`reset`), and it begins with the oldest retained message.
 * - `last`: with so many of the newest retained messages.
 * - `fromMs`: with the first message created at or after this time, in milliseconds since the Unix epoch, as people write
 *   times. What is known to be gone is a gap; that the bus, or a topic, is younger than the time is none.
 * - `createdMs`: the same time as a cursor, `T…`: everything created before it has been read. A time before which the bus
 *   knows nothing, and a topic that is gone with messages created then or later, is a gap (`reset`).
 */
export type Since =
  | "latest"
  | "earliest"
  | Position
  | { readonly last: number }
  | { readonly fromMs: number }
  | { readonly createdMs: number };

const LAST = /^last:(0|[1-9][0-9]{0,15})$/;
const TIME_CURSOR = /^T([0-9a-z]{1,11})$/;
// RFC 3339 section 5.6, with a T, in either case, or a space.
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$/;

/** Reads what a reader asks for at the time `nowMs`; `undefined` for anything else. A bare number is an id. */
export function parseSince(text: string, nowMs: number): Since | undefined {
  if (text === "latest" || text === "earliest") return text;
  const resume = parseResume(text);
  if (resume !== undefined) return resume;
  const last = LAST.exec(text);
  if (last !== null) return wholeNumber(last[1]!, (last) => ({ last }));
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return { fromMs: nowMs - agoMs };
  const fromMs = parseTime(text);
  return fromMs === undefined ? undefined : { fromMs };
}

/** Reads a time of RFC 3339 into milliseconds since the Unix epoch; `undefined` for anything else. */
export function parseTime(text: string): number | undefined {
  if (!TIME.test(text)) return undefined;
  const ms = Date.parse(text.replace(" ", "T").toUpperCase());
  return Number.isNaN(ms) ? undefined : ms;
}

/** Reads the cursor of a message or an event, which resumes a subscription; `undefined` for anything else. */
export function parseResume(text: string): Position | { readonly createdMs: number } | undefined {
  const time = TIME_CURSOR.exec(text);
  return time === null ? parseCursor(text) : { createdMs: parseInt(time[1]!, 36) };
}

/** The position of a reader of several topics: everything created before this time has been given. */
export function formatTimeCursor(createdMs: number): string {
  // Programs may ask for times that no message has.
  return `T${Math.max(Math.floor(createdMs), 0).toString(36)}`;
}

function wholeNumber<T>(digits: string, use: (value: number) => T): T | undefined {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? use(value) : undefined;
}
