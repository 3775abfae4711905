/**
 * `GET` on a topic: which of its readings is meant, and with what parameters.
 *
 * @module
 */

import { type Clock, wallOf } from "../bus/clock.ts";
import { BusError, quote } from "../errors.ts";
import { parseDuration } from "../wire/duration.ts";
import { NDJSON } from "../wire/ndjson.ts";
import { parseResume, parseSince, type Since } from "../wire/since.ts";
import { EVENT_STREAM } from "../wire/sse.ts";
import { readLease, tokensIn } from "./groups.ts";
import { type Head, lists, listsType } from "./head.ts";
import { parametersOf } from "./target.ts";

/** What a `GET` on a topic, or on several, asks for. */
export type ReadRequest =
  | { readonly kind: "socket"; readonly since: Since; readonly frames: string | undefined }
  | { readonly kind: "publisher"; readonly frames: string | undefined }
  | { readonly kind: "worker"; readonly frames: string | undefined } & WorkParameters
  | { readonly kind: "stream"; readonly format: "sse" | "ndjson"; readonly since: Since }
  | { readonly kind: "browse"; readonly since: Since; readonly asText: boolean } & PullParameters
  | { readonly kind: "pull" } & PullParameters & TakeParameters;

interface PullParameters {
  readonly limit: number | undefined;
  readonly waitMs: number;
  readonly raw: boolean;
}

interface TakeParameters {
  readonly group: string | undefined;
  readonly from: Since | undefined;
  readonly leaseMs: number | undefined;
  readonly ack: readonly string[] | undefined;
}

interface WorkParameters {
  readonly group: string;
  readonly from: Since | undefined;
  readonly leaseMs: number;
  readonly inflight: number;
}

/** How long a pull may wait, in milliseconds. */
export const MAX_WAIT_MS = 5 * 60_000;
const MAX_PULLED = 1000;
const MAX_BROWSED = 10_000;
const MAX_SHOWN = 100;
const MAX_INFLIGHT = 1000;
const DEFAULT_INFLIGHT = 100;
const DEFAULT_LEASE_MS = 30_000;
const SINCE_FORMS = "earliest, latest, an id such as 42 or 42@jf6ynu4k, a duration such as 10m, a time such as " +
  "2018-03-25T13:18:38Z, or last:100";

const PARAMETERS = {
  socket: ["since", "index", "frames", "mode"],
  publisher: ["frames", "mode"],
  worker: ["frames", "group", "from", "lease", "inflight"],
  stream: ["format", "since", "index"],
  browse: ["format", "since", "index", "limit", "wait"],
  pull: ["format", "limit", "wait", "group", "from", "lease", "ack"],
} as const satisfies Record<ReadRequest["kind"], readonly string[]>;
const ALL_PARAMETERS = [...new Set(Object.values(PARAMETERS).flat())];

const FROM_THE_QUEUE: TakeParameters = { group: undefined, from: undefined, leaseMs: undefined, ack: undefined };
const PLAIN_PULL: ReadRequest = { kind: "pull", limit: undefined, waitMs: 0, raw: false, ...FROM_THE_QUEUE };
const PULLING = ["limit", "wait", "lease", "group", "ack"];

/**
 * Reads what a `GET` asks for; `clock` says what time a duration is counted back from.
 *
 * @throws {BusError} `unknown_parameter`, `bad_parameter` for a wrong value and for parameters that don't go together,
 * `bad_cursor`.
 */
export function readRequestOf(head: Head, query: string | undefined, clock: Clock): ReadRequest {
  if (query === undefined && head.upgrade === undefined && !mayAskForStream(head.accept)) return PLAIN_PULL;
  const given = parametersOf(query, ALL_PARAMETERS);
  const request = interpret(head, given, clock);
  const known: readonly string[] = PARAMETERS[request.kind];
  const foreign = [...given.keys()].find((name) => !known.includes(name));
  if (foreign !== undefined) {
    throw new BusError(
      "bad_parameter",
      `Bad query parameter ${quote(foreign)}: it doesn't go with ${NAMES[request.kind]}`,
    );
  }
  return request;
}

const NAMES: Readonly<Record<ReadRequest["kind"], string>> = {
  socket: "a WebSocket",
  publisher: "mode=publish",
  worker: "a WebSocket of a group",
  stream: "a stream of messages",
  browse: "browsing",
  pull: "a pull",
};

function interpret(head: Head, given: ReadonlyMap<string, string>, clock: Clock): ReadRequest {
  if (lists(head.upgrade, "websocket")) {
    const frames = given.get("frames");
    if (readChoice(given, "mode", ["subscribe", "publish"]) === "publish") return { kind: "publisher", frames };
    const group = given.get("group");
    if (group !== undefined) return { kind: "worker", frames, group, ...readWork(given, clock) };
    return { kind: "socket", frames, since: beginningOf(head, given, clock) };
  }
  const format = readChoice(given, "format", ["sse", "ndjson", "raw"]);
  if (format === "sse" || format === "ndjson") {
    return { kind: "stream", format, since: beginningOf(head, given, clock) };
  }
  const raw = format === "raw";
  const asksToPull = raw || PULLING.some((name) => given.has(name));
  if (!asksToPull && listsType(head.accept, EVENT_STREAM)) {
    return { kind: "stream", format: "sse", since: beginningOf(head, given, clock) };
  }
  if (!asksToPull && listsType(head.accept, NDJSON)) {
    return { kind: "stream", format: "ndjson", since: beginningOf(head, given, clock) };
  }
  const waitMs = readWait(given);
  const since = sinceOf(given, clock);
  if (raw && given.has("limit")) throw new BusError("bad_parameter", "Bad query: format=raw doesn't go with limit");
  // A person who opens a topic in a browser looks at it, and takes nothing.
  const isPerson = !asksToPull && listsType(head.accept, "text/html");
  if (since !== undefined || isPerson) {
    const limit = readCount(given, "limit", MAX_BROWSED);
    return { kind: "browse", since: since ?? { last: MAX_SHOWN }, asText: isPerson, waitMs, raw, limit };
  }
  return { kind: "pull", waitMs, raw, limit: readCount(given, "limit", MAX_PULLED), ...readTake(given, clock) };
}

/** What to take, and how. */
function readTake(given: ReadonlyMap<string, string>, clock: Clock): TakeParameters {
  const group = given.get("group");
  const from = readSince(given, "from", clock);
  if (from !== undefined && group === undefined) {
    throw new BusError("bad_parameter", "Bad query: from says where a group begins, and there is no group");
  }
  const ack = given.get("ack");
  return { group, from, leaseMs: readLease(given), ack: ack === undefined ? undefined : tokensIn(ack) };
}

/** What to lease from a group, and how. */
function readWork(given: ReadonlyMap<string, string>, clock: Clock): Omit<WorkParameters, "group"> {
  return {
    from: readSince(given, "from", clock),
    leaseMs: readLease(given) ?? DEFAULT_LEASE_MS,
    inflight: readCount(given, "inflight", MAX_INFLIGHT) ?? DEFAULT_INFLIGHT,
  };
}

/** Whether an `Accept` header could ask for a stream: nearly all of them can't, and taking them apart takes time. */
function mayAskForStream(accept: string | undefined): boolean {
  return accept !== undefined && accept !== "*/*" && accept !== "application/json";
}

function beginningOf(head: Head, given: ReadonlyMap<string, string>, clock: Clock): Since {
  const since = sinceOf(given, clock);
  if (head.lastEventId === undefined) return since ?? "latest";
  const resume = parseResume(head.lastEventId);
  if (resume === undefined) throw new BusError("bad_cursor", `Bad Last-Event-ID ${quote(head.lastEventId)}`);
  return resume;
}

function sinceOf(given: ReadonlyMap<string, string>, clock: Clock): Since | undefined {
  if (given.has("since") && given.has("index")) {
    throw new BusError("bad_parameter", "Bad query: index is another name of since, and both are given");
  }
  return readSince(given, given.has("index") ? "index" : "since", clock);
}

function readSince(given: ReadonlyMap<string, string>, name: string, clock: Clock): Since | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const since = parseSince(text, wallOf(clock));
  if (since !== undefined) return since;
  throw new BusError("bad_cursor", `Bad value of ${quote(name)}: ${quote(text)}, not ${SINCE_FORMS}`);
}

function readChoice<const T extends string>(
  given: ReadonlyMap<string, string>,
  name: string,
  choices: readonly T[],
): T | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const choice = choices.find((choice) => choice === text);
  if (choice === undefined) {
    throw new BusError(
      "bad_parameter",
      `Bad value of ${quote(name)}: ${quote(text)}, not one of ${choices.join(", ")}`,
    );
  }
  return choice;
}

function readCount(given: ReadonlyMap<string, string>, name: string, max: number): number | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const count = /^[1-9][0-9]{0,5}$/.test(text) ? Number(text) : NaN;
  if (count <= max) return count;
  throw new BusError("bad_parameter", `Bad value of ${quote(name)}: ${quote(text)}, not a number from 1 to ${max}`);
}

function readWait(given: ReadonlyMap<string, string>): number {
  const text = given.get("wait");
  if (text === undefined) return 0;
  const waitMs = parseDuration(text) ?? NaN;
  if (waitMs <= MAX_WAIT_MS) return waitMs;
  throw new BusError("bad_parameter", `Bad value of "wait": ${quote(text)}, not a duration such as 20s, up to 5m`);
}
