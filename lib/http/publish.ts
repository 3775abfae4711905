/**
 * `PUT` and `POST`: publishing.
 *
 * @module
 */

import type { Receipt, ScheduleReceipt } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import type { Clock } from "../bus/clock.ts";
import { assertPublishable } from "../topic_name.ts";
import { linesOf, readBody } from "./body.ts";
import type { Head } from "./head.ts";
import { publishRequestOf } from "./publish_options.ts";
import { ask } from "./requests.ts";
import { emptyResponse, type HeaderRecord, jsonResponse, prefersJson } from "./respond.ts";

/** A request to publish its body. */
export interface BodyRequest {
  /** The request itself. */
  readonly request: Request;
  /** Its head. */
  readonly head: Head;
  /** Its query. */
  readonly query: string | undefined;
  /** Says what time it is. */
  readonly clock: Clock;
}

/** Publishes the body of a request, or each line of it, now or later, and answers with the receipt, or with a reply. */
export async function publish(
  bus: MessageBus,
  topic: string,
  { request, head, query, clock }: BodyRequest,
): Promise<Response> {
  const { split, replyMs, delayMs, atMs, options } = publishRequestOf(head, query, clock);
  // Before the body, which may take its time.
  assertPublishable(topic);
  const body = await readBody(request, head, bus.limits.maxPayloadBytes);
  if (replyMs !== undefined) {
    return await ask(bus, topic, body, { ...options, timeoutMs: replyMs, signal: request.signal });
  }
  if (delayMs !== undefined || atMs !== undefined) {
    const receipt = await bus.schedule(topic, body, { ...options, delayMs, atMs });
    return accepted(head, scheduleHeaders(receipt), () => encodeScheduleReceipt(receipt));
  }
  const receipt = await bus.publish(topic, split ? linesOf(body, bus.limits.maxMessages) : body, options);
  return accepted(head, receiptHeaders(receipt, split), () => encodeReceipt(receipt, split));
}

function accepted(head: Head, headers: HeaderRecord, encode: () => string): Response {
  return prefersJson(head.accept) ? jsonResponse(202, encode(), headers) : emptyResponse(202, headers);
}

function receiptHeaders({ id, cursor, count, durability, duplicate }: Receipt, counted: boolean): HeaderRecord {
  const headers: Record<string, string> = { "msgbus-id": String(id), "msgbus-cursor": cursor };
  if (counted) headers["msgbus-count"] = String(count);
  return withMore(headers, durability, duplicate);
}

function scheduleHeaders({ token, dueMs, durability, duplicate }: ScheduleReceipt): HeaderRecord {
  const headers = { "msgbus-scheduled": token, "msgbus-due": new Date(dueMs).toISOString() };
  return withMore(headers, durability, duplicate);
}

function withMore(headers: Record<string, string>, durability: string, duplicate: true | undefined): HeaderRecord {
  if (durability !== "memory") headers["msgbus-durability"] = durability;
  if (duplicate) headers["msgbus-duplicate"] = "true";
  return headers;
}

/** A receipt in JSON, with the number of messages if there may be several. */
export function encodeReceipt(
  { topic, id, cursor, durability, subscribers, count, duplicate }: Receipt,
  counted: boolean,
): string {
  return JSON.stringify({ topic, id, cursor, durability, subscribers, ...(counted ? { count } : {}), duplicate });
}

/** A receipt of what is published later in JSON. */
export function encodeScheduleReceipt({ topic, token, dueMs, durability, duplicate }: ScheduleReceipt): string {
  return JSON.stringify({ topic, durability, duplicate, scheduled: token, due: new Date(dueMs).toISOString() });
}
