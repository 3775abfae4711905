/**
 * What every answer has in common, and what each error is over HTTP.
 *
 * @module
 */

import { accepts } from "../deps/http.ts";
import type { BusError, ErrorCode } from "../errors.ts";
import { listsType } from "./head.ts";

/** The HTTP status of each error. */
export const STATUS = {
  address_in_use: 500,
  already_closed: 503,
  bad_cursor: 400,
  bad_group: 400,
  bad_header: 400,
  bad_host: 400,
  bad_option: 400,
  bad_parameter: 400,
  bad_request: 400,
  bad_target: 400,
  bad_topic: 400,
  cross_site: 403,
  disk_full: 507,
  draining: 503,
  empty: 404,
  headers_too_large: 431,
  host_not_allowed: 403,
  id_space_exhausted: 507,
  idempotency_conflict: 422,
  internal: 500,
  method_not_allowed: 405,
  no_endpoint: 404,
  no_group: 404,
  no_scheduled: 404,
  no_topic: 404,
  not_nfc: 400,
  not_synchronous: 500,
  origin_not_allowed: 403,
  overloaded: 503,
  proxied: 403,
  reply_gone: 410,
  reply_timeout: 504,
  reserved: 403,
  seq_mismatch: 412,
  store_damaged: 500,
  store_exposed: 500,
  store_failed: 503,
  store_locked: 500,
  store_unwritable: 500,
  target_too_long: 414,
  too_large: 413,
  too_many_groups: 507,
  too_many_leased: 429,
  too_many_topics: 507,
  topic_full: 507,
  unexpected_answer: 502,
  unknown_header: 400,
  unknown_method: 501,
  unknown_parameter: 400,
  unknown_subprotocol: 400,
  unreachable: 502,
  unsupported_encoding: 415,
  upgrade_required: 426,
} as const satisfies Record<ErrorCode, number>;

/** Further headers of an answer, by name. */
export type HeaderRecord = Readonly<Record<string, string>>;

const STANDARD_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

/** The content type of plain text. */
export const TEXT = "text/plain; charset=utf-8";

/** The content type of what Prometheus reads. */
export const METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** Makes an answer: `body` of type `contentType`, the headers that every answer has, and `more`. */
export function respond(status: number, body: BodyInit, contentType: string, more: HeaderRecord = {}): Response {
  // Of a Response that begins with this header alone, and gets the others appended, Deno makes no native copy that it
  // would have to track.
  const response = new Response(body, { status, headers: { "content-type": contentType } });
  const { headers } = response;
  addStandardHeaders(headers);
  for (const name in more) headers.append(name, more[name]!);
  return response;
}

/** Adds the headers of every answer. */
export function addStandardHeaders(headers: Headers): void {
  for (const name in STANDARD_HEADERS) headers.append(name, STANDARD_HEADERS[name]!);
}

/** An answer without a body. */
export function emptyResponse(status: number, more?: HeaderRecord): Response {
  // Without a body there is no native copy, and a record is the cheapest form of headers.
  return new Response(null, { status, headers: { ...STANDARD_HEADERS, ...more } });
}

/** An answer in plain text, in lines; a last line without its newline gets it. */
export function textResponse(status: number, text: string, more?: HeaderRecord): Response {
  return respond(status, `${text}\n`, TEXT, more);
}

/** An answer in JSON, given as text. It ends with a newline, so that a shell reads it as a line. */
export function jsonResponse(status: number, json: string, more?: HeaderRecord): Response {
  return respond(status, `${json}\n`, "application/json", more);
}

/** Whether an `Accept` header prefers JSON to plain text, which it gets if it has no preference. */
export function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined || accept === "*/*") return false;
  const asked = { headers: new Headers({ accept }) };
  return accepts(asked, "text/plain", "application/json") === "application/json";
}

const RETRY_LATER: readonly ErrorCode[] = ["disk_full", "draining", "overloaded", "store_failed", "too_many_leased"];

/** The answer to a request that failed: one line of text, or JSON if `accept` lists it, and `Msgbus-Error: <code>`. */
export function errorResponse(error: BusError, accept: string | undefined, more: HeaderRecord = {}): Response {
  const status = STATUS[error.code];
  const headers: Record<string, string> = { ...more, "msgbus-error": error.code };
  if (RETRY_LATER.includes(error.code)) headers["retry-after"] = "1";
  if (listsType(accept, "application/json")) {
    return jsonResponse(status, JSON.stringify({ error: error.code, message: error.message }), headers);
  }
  return textResponse(status, error.message, headers);
}
