/**
 * Requests that wait for a reply, and the endpoint that gives one.
 *
 * @module
 */

import type { BusRequestOptions } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { quote } from "../errors.ts";
import { readBody } from "./body.ts";
import type { Endpoint, EndpointRequest } from "./endpoints.ts";
import { payloadResponse } from "./payload.ts";
import { contentTypeOf } from "./publish_options.ts";
import { unlessGone } from "./pull.ts";
import { Refusal } from "./refusal.ts";
import { emptyResponse } from "./respond.ts";

/** The endpoint, by name. */
export function requestEndpoints(bus: MessageBus): Readonly<Record<string, Endpoint>> {
  const run = async ({ request, head, rest }: EndpointRequest) => {
    const body = await readBody(request, head, bus.limits.maxPayloadBytes);
    bus.reply(rest, body, { contentType: contentTypeOf(head) });
    return emptyResponse(202);
  };
  return { "-/reply/": { PUT: { run }, POST: { run } } };
}

/** Publishes a body, and answers with what somebody replies to it. */
export async function ask(
  bus: MessageBus,
  topic: string,
  body: Uint8Array,
  options: BusRequestOptions & { readonly signal: AbortSignal },
): Promise<Response> {
  const outcome = await unlessGone(bus.request(topic, body, options), options.signal);
  // Nobody reads that.
  if (outcome === undefined) return emptyResponse(504);
  const { receipt: { id, cursor, durability }, reply } = outcome;
  const headers: Record<string, string> = { "msgbus-id": String(id), "msgbus-cursor": cursor };
  if (durability !== "memory") headers["msgbus-durability"] = durability;
  if (reply === undefined) {
    throw new Refusal("reply_timeout", `Nobody replied to message ${id} of ${quote(topic)} in time`, headers);
  }
  return payloadResponse(reply.payload, reply.contentType, headers);
}
