/**
 * How to publish: what headers and query parameters ask for, and the lines of a WebSocket in the same words.
 *
 * @module
 */

import { NO_OPTIONS, type PublishOptions } from "../bus/answers.ts";
import { type Clock, wallOf } from "../bus/clock.ts";
import { MAX_DELAY_MS } from "../bus/delayed.ts";
import { MAX_TTL_MS } from "../bus/limits.ts";
import { BusError, type ErrorCode, quote } from "../errors.ts";
import { parseCursor, type Position } from "../message.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import { decodeBytes, decodePercent } from "../wire/percent.ts";
import { parseTime } from "../wire/since.ts";
import { type Head, META_PREFIX } from "./head.ts";
import { MAX_WAIT_MS } from "./read.ts";
import { parametersOf } from "./target.ts";

/** How to publish a body. */
export interface PublishRequest {
  /** Whether each line is a message. */
  readonly split: boolean;
  /** How long to wait for a reply, in milliseconds; `undefined` to wait for none. */
  readonly replyMs?: number | undefined;
  /** How long the message is hidden, in milliseconds. */
  readonly delayMs?: number | undefined;
  /** When it is published, in milliseconds since the Unix epoch. */
  readonly atMs?: number | undefined;
  /** Everything else. */
  readonly options: PublishOptions;
}

/** A publish that asks for nothing. */
export const PLAIN_PUBLISH: PublishRequest = { split: false, options: NO_OPTIONS };

/** The value of an option, and how errors call it. */
export interface Given {
  /** Its text. */
  readonly text: string;
  /** What its name is where it was given. */
  readonly name: string;
  /** What a wrong value is there. */
  readonly code: ErrorCode;
}

/** What `curl -d` says of a body, whatever it is. */
const FORM = "application/x-www-form-urlencoded";
const META = "meta-";
const PARAMETERS = ["split", "reply", "ttl", "delay", "at", "key", "idempotency-key", "if-match", "content-type", META];

/**
 * Reads how to publish the body of a request.
 *
 * @throws {BusError} `bad_parameter`, `bad_header`, `unknown_parameter`.
 */
export function publishRequestOf(head: Head, query: string | undefined, clock: Clock): PublishRequest {
  const { publishOptions, idempotencyKey, ifMatch } = head;
  const contentType = contentTypeOf(head);
  const asksForNothing = query === undefined && publishOptions === undefined && contentType === undefined &&
    idempotencyKey === undefined && ifMatch === undefined;
  if (asksForNothing) return PLAIN_PUBLISH;
  const parameters = parametersOf(query, PARAMETERS);
  const given = new Map<string, Given>();
  for (const [name, text] of headersOf(head)) given.set(name.replace(/^msgbus-/, ""), inHeader(name, text));
  for (const [name, text] of parameters) {
    if (given.has(name)) {
      throw new BusError("bad_parameter", `Bad query parameter ${quote(name)}: there is a header for the same, too`);
    }
    given.set(name, { text, name, code: "bad_parameter" });
  }
  const request: PublishRequest = {
    split: readSplit(given.get("split")),
    replyMs: readIfGiven(given.get("reply"), readReply),
    delayMs: readIfGiven(given.get("delay"), readDelay),
    atMs: readIfGiven(given.get("at"), (at) => readAt(at, wallOf(clock))),
    options: {
      ttlMs: readIfGiven(given.get("ttl"), readTtl),
      key: given.get("key")?.text,
      idempotencyKey: given.get("idempotency-key")?.text,
      ifMatch: readIfGiven(given.get("if-match"), readPosition),
      contentType: given.get("content-type")?.text ?? contentType,
      headers: metaOf(given),
    },
  };
  assertConsistent(request);
  return request;
}

/** What a body is said to be; `undefined` if nothing is said, or only what `curl -d` says of everything. */
export function contentTypeOf({ contentType }: Head): string | undefined {
  if (contentType === undefined || contentType === FORM) return undefined;
  const [type] = contentType.split(";", 1);
  return type!.trim().toLowerCase() === FORM ? undefined : contentType;
}

/** The headers that say how to publish, by their names; not the content type, which a parameter overrides. */
function* headersOf({ publishOptions, idempotencyKey, ifMatch }: Head): Iterable<[name: string, bytes: string]> {
  if (publishOptions !== undefined) yield* publishOptions;
  if (idempotencyKey !== undefined) yield ["idempotency-key", idempotencyKey];
  if (ifMatch !== undefined) yield ["if-match", ifMatch];
}

/** What a header says. Those that can be any text are percent-encoded. */
function inHeader(name: string, bytes: string): Given {
  const isText = name === "msgbus-key" || name.startsWith(META_PREFIX);
  const text = isText ? decodePercent(bytes) : decodeBytes(bytes);
  if (text !== undefined) return { text, name, code: "bad_header" };
  const form = isText ? "percent-encoded UTF-8" : "UTF-8";
  throw new BusError("bad_header", `Bad value of ${quote(name)}: ${quote(bytes)}, not ${form}`);
}

function metaOf(given: ReadonlyMap<string, Given>): Record<string, string> | undefined {
  let headers: Record<string, string> | undefined;
  for (const [name, { text }] of given) {
    if (name.startsWith(META)) {
      (headers ??= Object.create(null) as Record<string, string>)[name.slice(META.length)] = text;
    }
  }
  return headers;
}

/**
 * Refuses options that contradict each other.
 *
 * @throws {BusError} `bad_parameter`.
 */
export function assertConsistent({ split, replyMs, delayMs, atMs, options }: PublishRequest): void {
  const isLater = delayMs !== undefined || atMs !== undefined;
  const isRequest = replyMs !== undefined;
  const contradictions: readonly (readonly [string, string, boolean])[] = [
    ["delay", "at", delayMs !== undefined && atMs !== undefined],
    ["delay or at", "if-match", isLater && options.ifMatch !== undefined],
    ["delay or at", "split", isLater && split],
    ["reply", "split", isRequest && split],
    ["reply", "delay or at", isRequest && isLater],
    ["reply", "idempotency-key", isRequest && options.idempotencyKey !== undefined],
  ];
  const [one, other] = contradictions.find(([_one, _other, isMet]) => isMet) ?? [];
  if (one !== undefined) throw new BusError("bad_parameter", `Cannot publish: ${one} doesn't go with ${other}`);
}

/** Reads an option if it is given. */
export function readIfGiven<T>(given: Given | undefined, reader: (given: Given) => T): T | undefined {
  return given === undefined ? undefined : reader(given);
}

/** How long a message is kept, in milliseconds. Throws as its {@linkcode Given} says. */
export function readTtl(given: Given): number {
  return readDuration(given, 0, MAX_TTL_MS, "a duration such as 30s, or 0 for as long as there is room");
}

/** How long a message is hidden, in milliseconds. Throws as its {@linkcode Given} says. */
export function readDelay(given: Given): number {
  return readDuration(given, 0, MAX_DELAY_MS, `a duration such as 10m, up to ${formatDuration(MAX_DELAY_MS)}`);
}

/** When a message is published, in milliseconds since the Unix epoch. Throws as its {@linkcode Given} says. */
export function readAt(given: Given, nowMs: number): number {
  const atMs = parseTime(given.text);
  // Before the epoch is long ago.
  if (atMs !== undefined && atMs <= nowMs + MAX_DELAY_MS) return Math.max(atMs, 0);
  throw wrong(given, `a time such as 2018-03-25T13:18:38Z, up to ${formatDuration(MAX_DELAY_MS)} from now`);
}

/** A position. Throws as its {@linkcode Given} says. */
export function readPosition(given: Given): Position {
  // Entity tags have quotation marks (RFC 9110 section 13.1.1).
  const position = parseCursor(given.text.replace(/^"(.*)"$/, "$1"));
  if (position !== undefined) return position;
  throw wrong(given, "an id such as 42, or a cursor such as 42@jf6ynu4k");
}

function readReply(given: Given): number {
  return readDuration(given, 1, MAX_WAIT_MS, `a duration such as 10s, up to ${formatDuration(MAX_WAIT_MS)}`);
}

function readSplit(given: Given | undefined): boolean {
  if (given === undefined) return false;
  if (given.text === "lines") return true;
  throw wrong(given, `"lines"`);
}

function readDuration(given: Given, min: number, max: number, what: string): number {
  const ms = parseDuration(given.text) ?? NaN;
  if (ms >= min && ms <= max) return ms;
  throw wrong(given, what);
}

function wrong({ text, name, code }: Given, what: string): BusError {
  return new BusError(code, `Bad value of ${quote(name)}: ${quote(text)}, not ${what}`);
}
