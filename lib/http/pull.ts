/**
 * `GET` on a topic without a subscription: pulling from its queue, and browsing, which takes nothing.
 *
 * @module
 */

import type { Batch, Settlement, TakeOptions } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { lineLength } from "../bus/run.ts";
import { BusError, quote } from "../errors.ts";
import type { Gap } from "../event.ts";
import type { Message } from "../message.ts";
import { encodeEnvelope } from "../wire/json.ts";
import { encodeLines, NDJSON } from "../wire/ndjson.ts";
import type { Since } from "../wire/since.ts";
import { leaseHeaders, rawResponse } from "./payload.ts";
import { Refusal } from "./refusal.ts";
import { type HeaderRecord, jsonResponse, respond, TEXT } from "./respond.ts";

const MAX_WHOLE_BYTES = 256 * 1024;
const CHUNK_BYTES = 64 * 1024;
const encoder = new TextEncoder();

/** How to pull. */
export interface PullRequest extends LookRequest, TakeOptions {
  /** The tokens of leases to be done with before. */
  readonly ack?: readonly string[] | undefined;
}

/** How to look at messages. */
export interface LookRequest {
  /** How many messages; `undefined` for one, and no NDJSON. */
  readonly limit?: number | undefined;
  /** How long to wait for the first one, in milliseconds. */
  readonly waitMs: number;
  /** Whether to answer with the payload itself. */
  readonly raw: boolean;
  /** Aborts when the client is gone. */
  readonly signal?: AbortSignal | undefined;
}

/** What to browse. */
export interface BrowseRequest extends LookRequest {
  /** Where to begin. */
  readonly since: Since;
  /** Whether to answer with lines that a browser shows. */
  readonly asText: boolean;
}

/** Takes the next messages and answers with them. */
export async function pull(bus: MessageBus, topic: string, request: PullRequest): Promise<Response> {
  const { limit, raw, waitMs, signal, group, from, leaseMs, ack } = request;
  const acked = ack === undefined ? undefined : await bus.ack(ack);
  const pulled = bus.pullBatch(topic, { limit: limit ?? 1, waitMs, signal, group, from, leaseMs });
  const { messages, gap }: Batch = await (waitMs === 0 ? pulled : unlessGone(pulled, signal)) ?? { messages: [] };
  const headers = { ...gapHeaders(gap), ...ackHeaders(acked) };
  if (messages.length === 0) throw nothing(bus, topic, "Nothing to pull", headers);
  const first = messages[0]!;
  if (raw) return rawResponse(first, headers);
  if (limit === undefined) return jsonResponse(200, encodeEnvelope(first), { ...headers, ...leaseHeaders(first) });
  return linesResponse(messages, NDJSON, headers);
}

/** Which of the leases that were to be done with are unknown. */
function ackHeaders(acked: Settlement | undefined): HeaderRecord {
  if (acked === undefined || acked.unknown.length === 0) return {};
  return { "msgbus-unknown": acked.unknown.map((token) => encodeURIComponent(token.toWellFormed())).join(",") };
}

/** Answers with retained messages and takes none. */
export async function browse(bus: MessageBus, topic: string, request: BrowseRequest): Promise<Response> {
  const { since, waitMs, raw, asText, signal } = request;
  const options = { since, limit: raw ? 1 : request.limit };
  const page = await unlessGone(bus.browse(topic, { ...options, waitMs, signal }), signal);
  if (page === undefined) throw noTopic(topic);
  const headers = { "msgbus-next": page.next, ...gapHeaders(page.gap) };
  if (!raw) return linesResponse(page.messages, asText ? TEXT : NDJSON, headers);
  if (page.messages.length === 0) throw nothing(bus, topic, "Nothing to read", headers);
  return rawResponse(page.messages[0]!, headers);
}

/**
 * Messages as lines. Many are written as the client reads them: a client that asks for much and reads nothing must not
 * cost more than the messages, which it shares with the log and everybody else.
 */
function linesResponse(messages: readonly Message[], contentType: string, more: HeaderRecord): Response {
  const bytes = messages.reduce((sum, message) => sum + lineLength(message), 0);
  if (bytes <= MAX_WHOLE_BYTES) return respond(200, encodeLines(messages), contentType, more);
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const begin = at;
      for (let bytes = 0; at < messages.length && bytes < CHUNK_BYTES; at++) bytes += lineLength(messages[at]!);
      controller.enqueue(encoder.encode(encodeLines(messages.slice(begin, at))));
      if (at === messages.length) controller.close();
    },
  }, { highWaterMark: 0 });
  return respond(200, body, contentType, more);
}

/** A client that leaves while it waits is no bug. Nobody reads the answer: `undefined`, the same as when time is up. */
export function unlessGone<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  return answer.catch((error) => {
    if (!signal?.aborted || error !== signal.reason) throw error;
    return undefined;
  });
}

/** The error of an answer about a topic that does not exist. */
export function noTopic(topic: string): BusError {
  return new BusError("no_topic", `No topic ${quote(topic)}`);
}

function nothing(bus: MessageBus, topic: string, what: string, headers: Record<string, string>): BusError {
  if (bus.topic(topic) === undefined) return noTopic(topic);
  return new Refusal("empty", `${what} from ${quote(topic)}: there is no message`, headers);
}

/** What is missing before the messages of an answer: `<from>-<to>;<reason>`, without numbers that can't be known. */
function gapHeaders(gap: Gap | undefined): Record<string, string> {
  return gap === undefined ? {} : { "msgbus-gap": `${gap.from ?? ""}-${gap.to ?? ""};${gap.reason}` };
}
