/**
 * Pulling and browsing: what is asked, and what the answers hold.
 *
 * @module
 */

import type { Batch, Page } from "../bus/answers.ts";
import { BusError } from "../errors.ts";
import type { Gap, GapReason } from "../event.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { pathOf } from "./address.ts";
import { linesOf } from "./lines.ts";
import type { RequestOptions } from "./requests.ts";

/** How to pull. */
export interface ClientPullOptions extends RequestOptions {
  /** How long to wait for a message if there is none, in milliseconds; `Infinity` is until the signal aborts. Default 0. */
  readonly waitMs?: number;
}

/** How to pull several messages. */
export interface ClientPullBatchOptions extends ClientPullOptions {
  /** The most messages to take, 1 to 1000. Default 100. */
  readonly limit?: number;
}

/** How to browse. */
export interface ClientBrowseOptions extends ClientPullOptions {
  /** Where to begin; see {@linkcode ClientSubscribeOptions.since}. Default `earliest`. */
  readonly since?: string;
  /** The most messages to read, 1 to 10 000. Default: the server's, 100. */
  readonly limit?: number;
}

/** The longest wait that a server takes. */
const MAX_WAIT_MS = 5 * 60_000;

/** The path that reads a topic with these parameters, those that are set. */
export function readPath(
  topic: string,
  { since, limit, waitMs }: { readonly since?: string; readonly limit?: number; readonly waitMs?: number },
): string {
  const parameters = [
    since === undefined ? [] : [`since=${encodeURIComponent(since)}`],
    limit === undefined ? [] : [`limit=${limit}`],
    waitMs === undefined ? [] : [`wait=${waitMs}ms`],
  ].flat();
  return pathOf(topic) + (parameters.length === 0 ? "" : `?${parameters.join("&")}`);
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
