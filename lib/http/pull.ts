/**
 * `GET` on a topic without more: pulling the next message of its queue.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { encodeEnvelope } from "../wire/json.ts";
import { jsonResponse } from "./respond.ts";
import { parametersOf } from "./target.ts";

/** Takes the next message and answers with its envelope. */
export async function pull(bus: MessageBus, topic: string, query: string | undefined): Promise<Response> {
  if (query !== undefined) parametersOf(query, []);
  const message = await bus.pull(topic);
  if (message !== undefined) return jsonResponse(200, encodeEnvelope(message));
  if (bus.topic(topic) === undefined) throw noTopic(topic);
  throw new BusError("empty", `Nothing to pull from ${quote(topic)}: its queue is empty`);
}

/** The error of an answer about a topic that does not exist. */
export function noTopic(topic: string): BusError {
  return new BusError("no_topic", `No topic ${quote(topic)}`);
}
