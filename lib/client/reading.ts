/**
 * Pulling and browsing: what is asked, and what the answers hold.
 *
 * @module
 */

import type { Batch, Page } from "../bus/answers.ts";
import { BusError, quote } from "../errors.ts";
import type { Gap, GapReason } from "../event.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { parseSince } from "../wire/since.ts";
import { inMs, pathOf, withQuery } from "./address.ts";
import { linesOf } from "./lines.ts";
import type { RequestOptions } from "./requests.ts";

/** How to pull. */
export interface ClientPullOptions extends RequestOptions {
  /** How long to wait for a message if there is none, in milliseconds; `Infinity` is until the signal aborts. Default 0. */
  readonly waitMs?: number;
  /** The group that takes; one that doesn't exist is made. Default: the queue. */
  readonly group?: string;
  /** Where a group that doesn't exist begins; see {@linkcode ClientSubscribeOptions.since}. Default `earliest`. */
  readonly from?: string;
  /**
   * Lease the messages for so many milliseconds, from 1 s to 12 h, instead of taking them for good: each has a
   * {@linkcode Message.lease}, and is handed out again unless {@linkcode Client.ack} has it before that ends.
   */
  readonly leaseMs?: number;
}

/** How to pull several messages. */
export interface ClientPullBatchOptions extends ClientPullOptions {
  /** The most messages to take, 1 to 1000. Default 100. */
  readonly limit?: number;
}

/** How to browse. */
export interface ClientBrowseOptions extends RequestOptions {
  /** How long to wait for a message if there is none, in milliseconds; `Infinity` is until the signal aborts. Default 0. */
  readonly waitMs?: number;
  /** Where to begin; see {@linkcode ClientSubscribeOptions.since}. Default `earliest`. */
  readonly since?: string;
  /** The most messages to read, 1 to 10 000. Default: the server's, 100. */
  readonly limit?: number;
}

/** The longest wait that a server takes. */
const MAX_WAIT_MS = 5 * 60_000;

/** The path that pulls from a topic. */
export function pullPath(
  topic: string,
  { group, from, leaseMs, limit, waitMs }: Pick<
    ClientPullBatchOptions,
    "group" | "from" | "leaseMs" | "limit" | "waitMs"
  >,
): string {
  if (from !== undefined) assertSince(from);
  // The queue has no name.
  const name = group === "" ? undefined : group;
  return withQuery(pathOf(topic), { group: name, from, lease: inMs(leaseMs), limit, wait: inMs(waitMs) });
}

/** The path that browses a topic. */
export function browsePath(
  topic: string,
  { since, limit, waitMs }: Pick<ClientBrowseOptions, "since" | "limit" | "waitMs">,
): string {
  return withQuery(pathOf(topic), { since, limit, wait: inMs(waitMs) });
}

/**
 * Checks where to begin, on one topic or on several.
 *
 * @throws {BusError} `bad_cursor`.
 */
export function assertSince(text: string, several = false): void {
  const since = parseSince(text, Date.now());
  const fault = since === undefined
    ? "it is not a position, a time or a duration"
    : several && typeof since === "object" && "next" in since
    ? "an id is of one topic only"
    : undefined;
  if (fault !== undefined) throw new BusError("bad_cursor", `Cannot begin at ${quote(text)}: ${fault}`);
}

/**
 * The waits to ask a server for one after the other, which together are `waitMs`; `undefined` for a request that
 * doesn't wait.
 *
 * @throws {BusError} `bad_option` if `waitMs` is negative or not a number.
 */
export function* waitsOf(waitMs: number = 0): Generator<number | undefined, void, void> {
  if (!(waitMs >= 0)) throw new BusError("bad_option", `Bad waitMs: ${waitMs} is not a time`);
  let leftMs = Math.ceil(waitMs);
  if (leftMs === 0) yield undefined;
  for (; leftMs > 0; leftMs -= MAX_WAIT_MS) yield Math.min(leftMs, MAX_WAIT_MS);
}

/** The answer to a pull of several messages, one a line; without a body there are none. */
export function batchOf(headers: Headers, body: string | undefined, topic: string): Batch {
  const messages = body === undefined ? [] : linesOf(body).map(decodeEnvelope);
  const gap = gapOf(headers.get("msgbus-gap"), topic);
  return gap === undefined ? { messages } : { messages, gap };
}

/** The answer to a browse. */
export function pageOf(headers: Headers, body: string, topic: string): Page {
  return { ...batchOf(headers, body, topic), next: headers.get("msgbus-next")! };
}

/** Reads `Msgbus-Gap: <from>-<to>;<reason>`, of which both ids may be empty. */
function gapOf(text: string | null, topic: string): Gap | undefined {
  const match = /^([0-9]*)-([0-9]*); *(.+)$/.exec(text ?? "");
  if (match === null) return undefined;
  const [, from, to, reason] = match as unknown as [string, string, string, string];
  return { topic, from: idOf(from), to: idOf(to), reason: reason as GapReason };
}

function idOf(digits: string): number | null {
  return digits === "" ? null : Number(digits);
}
