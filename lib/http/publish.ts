/**
 * `PUT` and `POST`: publishing.
 *
 * @module
 */

import type { Receipt } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { assertPublishable } from "../topic_name.ts";
import { linesOf, readBody } from "./body.ts";
import type { Head } from "./head.ts";
import { emptyResponse, jsonResponse, prefersJson } from "./respond.ts";
import { parametersOf } from "./target.ts";

/** Publishes the body of a request, or each line of it, and answers with the receipt. */
export async function publish(
  bus: MessageBus,
  topic: string,
  request: Request,
  head: Head,
  query: string | undefined,
): Promise<Response> {
  const split = query === undefined ? undefined : parametersOf(query, ["split"]).get("split");
  if (split !== undefined && split !== "lines") {
    throw new BusError("bad_parameter", `Bad value of "split": ${quote(split)}, not "lines"`);
  }
  // Before the body, which may take its time.
  assertPublishable(topic);
  const body = await readBody(request, head, bus.limits.maxPayloadBytes);
  const receipt = await bus.publish(topic, split === undefined ? body : linesOf(body, bus.limits.maxMessages));
  const headers: Record<string, string> = { "msgbus-id": String(receipt.id), "msgbus-cursor": receipt.cursor };
  if (split !== undefined) headers["msgbus-count"] = String(receipt.count);
  if (receipt.durability !== "memory") headers["msgbus-durability"] = receipt.durability;
  if (prefersJson(head.accept)) return jsonResponse(202, encodeReceipt(receipt, split !== undefined), headers);
  return emptyResponse(202, headers);
}

/** A receipt in JSON, with the number of messages if there may be several. */
export function encodeReceipt(
  { topic, id, cursor, durability, subscribers, count }: Receipt,
  counted: boolean,
): string {
  return JSON.stringify({ topic, id, cursor, durability, subscribers, ...(counted ? { count } : {}) });
}
