/**
 * The lines of a WebSocket that publishes: each an object with a payload, and how to publish it.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { decodeBase64 } from "../wire/base64.ts";
import {
  assertConsistent,
  type Given,
  type PublishRequest,
  readAt,
  readDelay,
  readIfGiven,
  readPosition,
  readTtl,
} from "./publish_options.ts";

/** What a line says is to be published. */
export interface Line extends PublishRequest {
  /** The payload. */
  readonly payload: Uint8Array;
}

// A frame is published in one go.
const MAX_LINES = 10_000;
const MAX_DEPTH = 32;
const PAYLOADS = ["payload", "text", "json"];
const OPTIONS = ["ttl", "delay", "at", "key", "idempotencyKey", "ifMatch", "contentType", "headers"];

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/**
 * What each line of a frame that came at `nowMs` says is to be published; empty lines say nothing. Each throws when it is
 * asked, so that the others are published all the same: `bad_request` for what is no such line, `bad_parameter` for a
 * wrong option.
 */
export function linesOf(frame: Uint8Array, nowMs: number): (() => Line)[] {
  let text: string;
  try {
    text = strictDecoder.decode(frame);
  } catch (cause) {
    return refused("Cannot publish: the frame is not UTF-8", cause);
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length > MAX_LINES) return refused(`Cannot publish ${lines.length} lines at once: over ${MAX_LINES}`);
  return lines.map((line) => () => read(line, nowMs));
}

/** A frame of which nothing is published. */
function refused(message: string, cause?: unknown): (() => Line)[] {
  return [() => {
    throw new BusError("bad_request", message, { cause });
  }];
}

/**
 * A value as JSON.
 *
 * @throws {BusError} `bad_request` for one that is nested too deeply: beyond some thousand levels JavaScript can read
 * JSON that it can't write.
 */
function rewritten(value: unknown): string {
  if (isDeeper(value, MAX_DEPTH)) throw new BusError("bad_request", `Cannot publish: json is deeper than ${MAX_DEPTH}`);
  return JSON.stringify(value);
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((member) => isDeeper(member, depth - 1));
}

/** A line, taken apart. */
function read(line: string, nowMs: number): Line {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (cause) {
    throw new BusError("bad_request", `Cannot publish ${quote(line)}: not JSON`, { cause });
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new BusError("bad_request", `Cannot publish ${quote(line)}: not an object`);
  }
  const members = new Map<string, unknown>(Object.entries(record));
  const payloads: [string, unknown][] = [];
  for (const [name, value] of members) {
    if (PAYLOADS.includes(name)) payloads.push([name, value]);
    else if (!OPTIONS.includes(name)) {
      throw new BusError("bad_request", `Cannot publish: unknown member ${quote(name)}`);
    }
  }
  const [first] = payloads;
  if (payloads.length !== 1) {
    throw new BusError("bad_request", `Cannot publish ${quote(line)}: exactly one of payload, text and json is needed`);
  }
  const request = { ...requestOf(members, nowMs), payload: payloadOf(...first!) };
  assertConsistent(request);
  return request;
}

function payloadOf(name: string, value: unknown): Uint8Array {
  if (name === "json") return encoder.encode(rewritten(value));
  if (typeof value !== "string") throw new BusError("bad_request", `Cannot publish: ${name} is not a string`);
  if (name === "text") return encoder.encode(value);
  try {
    return decodeBase64(value);
  } catch (cause) {
    throw new BusError("bad_request", `Cannot publish: payload ${quote(value)} is not base64`, { cause });
  }
}

/** How to publish: texts as in query parameters; durations may be numbers of seconds, and a position a number. */
function requestOf(members: ReadonlyMap<string, unknown>, nowMs: number): PublishRequest {
  const duration = (name: string) => givenOf(name, members.get(name), secondsToText);
  const text = (name: string) => givenOf(name, members.get(name));
  return {
    split: false,
    delayMs: readIfGiven(duration("delay"), readDelay),
    atMs: readIfGiven(text("at"), (at) => readAt(at, nowMs)),
    options: {
      ttlMs: readIfGiven(duration("ttl"), readTtl),
      key: text("key")?.text,
      idempotencyKey: text("idempotencyKey")?.text,
      ifMatch: readIfGiven(givenOf("ifMatch", members.get("ifMatch"), String), readPosition),
      contentType: text("contentType")?.text,
      // Whatever that is, it is checked where it is published.
      headers: members.get("headers") as Readonly<Record<string, string>> | undefined,
    },
  };
}

/** The text of a member; one that is a number is written by `write`. */
function givenOf(name: string, value: unknown, write?: (value: number) => string): Given | undefined {
  if (value === undefined) return undefined;
  const isNumber = typeof value === "number" && write !== undefined;
  const text = isNumber ? write(value) : value;
  if (typeof text === "string") return { text, name, code: "bad_parameter" };
  // Not shown: beyond some thousand levels JavaScript can't write the JSON that it can read.
  throw new BusError("bad_parameter", `Bad value of ${quote(name)}: not a string`);
}

function secondsToText(seconds: number): string {
  const ms = seconds * 1000;
  const whole = Math.round(ms);
  // 1.1 s are not exactly 1100 ms.
  return `${Math.abs(ms - whole) <= 1e-9 * whole ? whole : ms}ms`;
}
