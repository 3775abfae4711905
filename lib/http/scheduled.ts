/**
 * The endpoint of messages that are published later: listing them, taking them back.
 *
 * @module
 */

import type { ScheduledMessage } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { demanded, type Endpoint } from "./endpoints.ts";
import { noTopic } from "./pull.ts";
import { emptyResponse, respond } from "./respond.ts";

const JSON_TYPE = "application/json";
const CHUNK_LENGTH = 64 * 1024;
const encoder = new TextEncoder();

/** The endpoint, by name. */
export function scheduledEndpoints(bus: MessageBus): Readonly<Record<string, Endpoint>> {
  return {
    "-/scheduled": {
      GET: { parameters: ["topic"], run: ({ parameters }) => list(bus, demanded(parameters, "topic")) },
      DELETE: {
        parameters: ["topic", "token"],
        run: ({ parameters }) => cancel(bus, demanded(parameters, "topic"), demanded(parameters, "token")),
      },
    },
  };
}

function list(bus: MessageBus, topic: string): Response {
  if (bus.topic(topic) === undefined) throw noTopic(topic);
  const parts = partsOf(bus.scheduled(topic));
  const first = chunkOf(parts);
  if (first.isLast) return respond(200, first.text, JSON_TYPE);
  // What messages say of themselves may be megabytes; they are written as the client reads them.
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(first.text)),
    pull(controller) {
      const { text, isLast } = chunkOf(parts);
      controller.enqueue(encoder.encode(text));
      if (isLast) controller.close();
    },
  }, { highWaterMark: 0 });
  return respond(200, body, JSON_TYPE);
}

/** The next parts together. */
function chunkOf(parts: Iterator<string>): { text: string; isLast: boolean } {
  let text = "";
  while (text.length < CHUNK_LENGTH) {
    const { done, value } = parts.next();
    if (done) return { text, isLast: true };
    text += value;
  }
  return { text, isLast: false };
}

async function cancel(bus: MessageBus, topic: string, token: string): Promise<Response> {
  if (await bus.cancel(topic, token)) return emptyResponse(204);
  throw new BusError("no_scheduled", `Nothing is scheduled in ${quote(topic)} by the token ${quote(token)}`);
}

/** A JSON array, message by message. */
function* partsOf(messages: readonly ScheduledMessage[]): Generator<string, void> {
  let separator = "[";
  for (const message of messages) {
    yield separator + encodeScheduled(message);
    separator = ",\n";
  }
  yield separator === "[" ? "[]\n" : "]\n";
}

function encodeScheduled({ token, dueMs, payload, ttlMs, attributes }: ScheduledMessage): string {
  const { contentType, headers, key } = attributes ?? {};
  const said = JSON.stringify({ contentType, headers, key }).slice(1, -1);
  // As text: nanoseconds may be more than a number holds exactly.
  const ttl = ttlMs === undefined ? "" : ttlMs === 0 ? `,"ttl":0` : `,"ttl":${ttlMs}000000`;
  const due = new Date(dueMs).toISOString();
  return `{"token":"${token}","due":"${due}","bytes":${payload.length}${ttl}${said === "" ? "" : `,${said}`}}`;
}
