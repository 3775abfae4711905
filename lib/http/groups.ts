/**
 * The endpoints of groups and leases: acknowledging, handing back, extending, listing, forgetting.
 *
 * @module
 */

import { type GroupStats, MAX_LEASE_MS, MIN_LEASE_MS, type Settlement } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import { readBody } from "./body.ts";
import { demanded, type Endpoint, type EndpointRequest } from "./endpoints.ts";
import { noTopic } from "./pull.ts";
import { emptyResponse, jsonResponse } from "./respond.ts";

const MAX_TOKENS_BYTES = 1024 ** 2;
const MAX_DELAY_MS = MAX_LEASE_MS;
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** The endpoints, by name. */
export function groupEndpoints(bus: MessageBus): Readonly<Record<string, Endpoint>> {
  return {
    "-/ack": { POST: { run: async (asked) => settled(await bus.ack(await tokensOf(asked))) } },
    "-/nack": {
      POST: {
        parameters: ["delay", "reason", "count"],
        run: async (asked) => {
          const options = nackOptionsOf(asked.parameters);
          return settled(await bus.nack(await tokensOf(asked), options));
        },
      },
    },
    "-/extend": {
      POST: {
        parameters: ["lease"],
        run: async (asked) => {
          const leaseMs = readLease(asked.parameters);
          return settled(await bus.extend(await tokensOf(asked), leaseMs));
        },
      },
    },
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

function settled({ done, unknown }: Settlement): Response {
  return jsonResponse(200, JSON.stringify({ done, unknown }));
}

/**
 * How messages are to be handed back.
 *
 * @throws {BusError} `bad_parameter`.
 */
function nackOptionsOf(given: ReadonlyMap<string, string>) {
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
  const tokens = text.startsWith("[") ? listedIn(text) : tokensIn(text);
  if (tokens.length === 0) throw new BusError("bad_request", "Bad lease tokens: there are none in the body");
  return tokens;
}

/** Tokens that are separated by white space or commas. */
export function tokensIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((token) => token !== "");
}

function listedIn(text: string): string[] {
  let tokens: unknown;
  try {
    tokens = JSON.parse(text);
  } catch (cause) {
    throw new BusError("bad_request", `Bad lease tokens ${quote(text)}: not JSON`, { cause });
  }
  if (Array.isArray(tokens) && tokens.every((token) => typeof token === "string")) return tokens;
  throw new BusError("bad_request", `Bad lease tokens ${quote(text)}: not an array of strings`);
}
