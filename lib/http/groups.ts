/**
 * The endpoints of groups and leases: acknowledging, handing back, extending, listing, forgetting; and the lines that
 * settle leases over a WebSocket.
 *
 * @module
 */

import {
  type GroupStats,
  MAX_LEASE_MS,
  MIN_LEASE_MS,
  type NackOptions,
  type Settlement,
  type SettleOptions,
} from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import { readBody } from "./body.ts";
import { demanded, type Endpoint, type EndpointRequest } from "./endpoints.ts";
import { noTopic } from "./pull.ts";
import { emptyResponse, jsonResponse } from "./respond.ts";

// They are settled in one go.
const MAX_TOKENS = 10_000;
const MAX_TOKENS_BYTES = 1024 ** 2;
const MAX_DELAY_MS = MAX_LEASE_MS;
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** Settles leases. */
type Settle = (bus: MessageBus, tokens: readonly string[], options: SettleOptions) => Promise<Settlement>;

/** One way to settle leases. */
interface Way {
  /** What it takes besides tokens. */
  readonly parameters: readonly string[];
  /** Reads that. Throws {@linkcode BusError} `bad_parameter`. */
  read(given: ReadonlyMap<string, string>): Settle;
}

/** The ways to settle leases, by name, the same over HTTP and in the lines of a WebSocket. */
const WAYS: Readonly<Record<string, Way>> = {
  ack: { parameters: [], read: () => (bus, tokens, options) => bus.ack(tokens, options) },
  nack: {
    parameters: ["delay", "reason", "count"],
    read: (given) => {
      const how = nackOptionsOf(given);
      return (bus, tokens, options) => bus.nack(tokens, { ...how, ...options });
    },
  },
  extend: {
    parameters: ["lease"],
    read: (given) => {
      const leaseMs = readLease(given);
      return (bus, tokens, options) => bus.extend(tokens, leaseMs, options);
    },
  },
};

/** The endpoints, by name. */
export function groupEndpoints(bus: MessageBus): Readonly<Record<string, Endpoint>> {
  return {
    ...Object.fromEntries(Object.entries(WAYS).map(([name, way]) => [`-/${name}`, settling(bus, way)])),
    "-/groups": {
      GET: { parameters: ["topic"], run: ({ parameters }) => list(bus, parameters.get("topic")) },
      DELETE: {
        parameters: ["topic", "group"],
        run: ({ parameters }) => forget(bus, demanded(parameters, "topic"), demanded(parameters, "group")),
      },
    },
    "-/redrive": {
      POST: {
        parameters: ["topic", "group"],
        run: async ({ parameters }) => {
          const topic = demanded(parameters, "topic");
          const redriven = await bus.redrive(topic, { group: parameters.get("group") });
          if (redriven === undefined) throw noTopic(topic);
          return jsonResponse(200, JSON.stringify(redriven));
        },
      },
    },
  };
}

function settling(bus: MessageBus, { parameters, read }: Way): Endpoint {
  const run = async (asked: EndpointRequest) => {
    const settle = read(asked.parameters);
    const { done, unknown } = await settle(bus, await tokensOf(asked), {});
    return jsonResponse(200, JSON.stringify({ done, unknown }));
  };
  return { POST: { parameters, run } };
}

/**
 * Does what a line of JSON says: `{"ack":["…"]}`, `{"nack":["…"],"delay":"5s","reason":"…","count":false}` or
 * `{"extend":["…"],"lease":"30s"}`. What follows the tokens may be missing, as over HTTP.
 *
 * @throws {BusError} `bad_request` for anything else, `bad_parameter`, `bad_option`; nothing is settled then.
 */
export function settleLine(bus: MessageBus, line: string, options: SettleOptions): Promise<Settlement> {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (cause) {
    throw new BusError("bad_request", `Bad line ${quote(line)}: not JSON`, { cause });
  }
  // A null has no members, nor has anything that is no object.
  const members = new Map<string, unknown>(Object.entries(Object(record)));
  const [name, ...others] = Object.keys(WAYS).filter((name) => members.has(name));
  if (name === undefined || others.length > 0) {
    throw new BusError("bad_request", `Bad line ${quote(line)}: not an object with one of ack, nack and extend`);
  }
  const { parameters, read } = WAYS[name]!;
  const given = new Map<string, string>();
  for (const [member, value] of members) {
    if (member === name) continue;
    if (!parameters.includes(member)) {
      throw new BusError("bad_request", `Bad line ${quote(line)}: unknown member ${quote(member)}`);
    }
    if (member === "count" ? typeof value !== "boolean" : typeof value !== "string") {
      const what = member === "count" ? "neither true nor false" : "no string";
      throw new BusError("bad_request", `Bad line ${quote(line)}: ${member} is ${what}`);
    }
    given.set(member, String(value));
  }
  const settle = read(given);
  return settle(bus, checkedTokens(members.get(name), line), options);
}

function list(bus: MessageBus, topic: string | undefined): Response {
  if (topic !== undefined && bus.topic(topic) === undefined) throw noTopic(topic);
  return jsonResponse(200, JSON.stringify(bus.groups(topic).map(recordOf)));
}

async function forget(bus: MessageBus, topic: string, group: string): Promise<Response> {
  if (await bus.deleteGroup(topic, group)) return emptyResponse(204);
  throw new BusError("no_group", `No group ${quote(group)} of ${quote(topic)}`);
}

/** What is not known is `null`, so that a script finds the member. */
function recordOf({ oldestUnackedMs = null!, ...stats }: GroupStats): object {
  return { ...stats, oldestUnackedMs };
}

/**
 * How messages are to be handed back.
 *
 * @throws {BusError} `bad_parameter`.
 */
function nackOptionsOf(given: ReadonlyMap<string, string>): NackOptions {
  const count = given.get("count") ?? "true";
  if (count !== "true" && count !== "false") {
    throw new BusError("bad_parameter", `Bad value of "count": ${quote(count)}, not true or false`);
  }
  const delay = given.get("delay") ?? "0";
  const delayMs = parseDuration(delay) ?? NaN;
  if (!(delayMs <= MAX_DELAY_MS)) {
    throw new BusError("bad_parameter", `Bad value of "delay": ${quote(delay)}, not a duration up to 12h`);
  }
  const reason = given.get("reason");
  return { delayMs, count: count === "true", ...(reason === undefined || reason === "" ? {} : { reason }) };
}

/**
 * How long a lease is to last, in milliseconds; `undefined` if that isn't said.
 *
 * @throws {BusError} `bad_parameter`.
 */
export function readLease(given: ReadonlyMap<string, string>): number | undefined {
  const text = given.get("lease");
  if (text === undefined) return undefined;
  const leaseMs = parseDuration(text) ?? NaN;
  if (leaseMs >= MIN_LEASE_MS && leaseMs <= MAX_LEASE_MS) return leaseMs;
  const range = `from ${formatDuration(MIN_LEASE_MS)} to ${formatDuration(MAX_LEASE_MS)}`;
  throw new BusError("bad_parameter", `Bad value of "lease": ${quote(text)}, not a duration such as 30s, ${range}`);
}

/**
 * The tokens in a body: an array in JSON, or separated by white space or commas.
 *
 * @throws {BusError} `bad_request`, and as {@linkcode readBody}.
 */
async function tokensOf({ request, head }: EndpointRequest): Promise<readonly string[]> {
  const body = await readBody(request, head, MAX_TOKENS_BYTES);
  let text: string;
  try {
    text = strictDecoder.decode(body).trim();
  } catch (cause) {
    throw new BusError("bad_request", "Bad lease tokens: not UTF-8", { cause });
  }
  // A line of a WebSocket has braces, and is none here.
  return checkedTokens(/^[[{]/.test(text) ? jsonIn(text) : tokensIn(text), text);
}

/** Tokens that are separated by white space or commas. */
export function tokensIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((token) => token !== "");
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BusError("bad_request", `Bad lease tokens ${quote(text)}: not JSON`, { cause });
  }
}

function checkedTokens(tokens: unknown, text: string): readonly string[] {
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === "string")) {
    throw new BusError("bad_request", `Bad lease tokens ${quote(text)}: not an array of strings`);
  }
  if (tokens.length > MAX_TOKENS) {
    throw new BusError("bad_request", `Bad lease tokens: ${tokens.length} at once, more than ${MAX_TOKENS}`);
  }
  if (tokens.length === 0) throw new BusError("bad_request", `Bad lease tokens ${quote(text)}: there are none`);
  return tokens;
}
