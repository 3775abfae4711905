/**
 * Publishing: what is asked, now and later, with and without a reply, and what the answers hold.
 *
 * @module
 */

import type { Reply, ScheduledMessage } from "../bus/answers.ts";
import { assertContentType, assertKey, attributesOf } from "../attributes.ts";
import { BusError } from "../errors.ts";
import { type Attributes, formatCursor, type Position } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { inMs, pathOf, withQuery } from "./address.ts";
import { bytesOf, joinLines } from "./payloads.ts";
import type { RequestOptions, Requests } from "./requests.ts";

/** What may be said of a message that is published, now or later. */
export interface ClientMessageOptions extends RequestOptions, Attributes {
  /** How long the message is kept, in milliseconds; `0` means until a limit drops it. Default: as long as the topic says. */
  readonly ttlMs?: number;
  /**
   * Makes it safe to publish again what got no answer: the same key, topic and payload within the server's
   * `--dedupe-window` publish nothing, and are answered as the first time. 1 to 256 bytes.
   */
  readonly idempotencyKey?: string;
}

/** How to publish; everything has a default. */
export interface ClientPublishOptions extends ClientMessageOptions {
  /**
   * `lines` makes each line of the payload a message: without its line end (LF or CR LF), and not the empty ones. All
   * of them or none are published, with consecutive ids. Default: the payload is one message.
   */
  readonly split?: "lines";
  /**
   * Publish only if this is the position at the end of the topic, such as the {@linkcode PublishReceipt.cursor} of the
   * last publish; else it is `seq_mismatch`. `{ next: 0 }` is a topic that doesn't exist, too.
   */
  readonly ifMatch?: Position | string;
}

/** When to publish, and how: one of `delayMs` and `atMs`. */
export interface ClientScheduleOptions extends ClientMessageOptions {
  /** How long from now, in milliseconds. */
  readonly delayMs?: number;
  /** When, in milliseconds since the Unix epoch. */
  readonly atMs?: number;
}

/** How to ask for a reply; everything has a default. */
export interface ClientRequestOptions extends Omit<ClientMessageOptions, "idempotencyKey"> {
  /** How long to wait for the reply, in milliseconds, up to 5 minutes. Default 10 s. */
  readonly timeoutMs?: number;
}

/** How to reply; everything has a default. */
export interface ClientReplyOptions extends RequestOptions {
  /** What the payload is, a media type. Default: nothing is said. */
  readonly contentType?: string;
}

/** The answer to a publish: it is acknowledged. */
export interface PublishReceipt {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The id of the message; of the first one, if several were published at once. */
  readonly id: number;
  /** How many messages were published; their ids are consecutive. */
  readonly count: number;
  /** The position after the (last) message, `<n>@<epoch>`. */
  readonly cursor: string;
  /** What the acknowledged messages have survived; `memory`, or a word of a server that promises more. */
  readonly durability: string;
  /** How many subscriptions the topic has. */
  readonly subscribers: number;
  /** Set if it was published before, under the same idempotency key; this is the receipt of then. */
  readonly duplicate?: true;
}

/** The answer to a publish at a later time: it is acknowledged. */
export interface ClientScheduleReceipt {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** What cancels it; see {@linkcode Client.cancel}. */
  readonly token: string;
  /** When it is published, in milliseconds since the Unix epoch. */
  readonly dueMs: number;
  /** See {@linkcode PublishReceipt.durability}. */
  readonly durability: string;
  /** Set if it was scheduled before, under the same idempotency key. */
  readonly duplicate?: true;
}

/** A message to be published later, as a server tells of it: without its payload. */
export interface ClientScheduledMessage extends Omit<ScheduledMessage, "payload"> {
  /** How long the payload is, in bytes. */
  readonly bytes: number;
}

type Payload = string | Uint8Array;
const NS_PER_MS = 1_000_000;

/** See {@linkcode Client.publish}. */
export async function publish(
  requests: Requests,
  topic: string,
  payload: Payload | readonly Payload[],
  options: ClientPublishOptions,
): Promise<PublishReceipt> {
  const several = typeof payload !== "string" && !(payload instanceof Uint8Array);
  const body = several ? joinLines(payload) : bytesOf(payload);
  const { split, ifMatch } = options;
  const position = typeof ifMatch === "object" ? formatCursor(ifMatch.next, ifMatch.epoch) : ifMatch;
  const parameters = { split: several ? "lines" : split, "if-match": position };
  const response = await post(requests, topic, body, parameters, options);
  const receipt = await requests.json(response, options);
  if (!isReceipt(receipt)) throw requests.unexpected(response, "no receipt");
  const { topic: name, id, count = 1, cursor, durability, subscribers, duplicate } = receipt;
  return { topic: name, id, count, cursor, durability, subscribers, ...(duplicate ? { duplicate } : {}) };
}

/** See {@linkcode Client.schedule}. */
export async function schedule(
  requests: Requests,
  topic: string,
  payload: Payload,
  options: ClientScheduleOptions,
): Promise<ClientScheduleReceipt> {
  const { delayMs, atMs } = options;
  if ((delayMs === undefined) === (atMs === undefined)) {
    throw new BusError("bad_option", "Cannot schedule: either delayMs or atMs says when");
  }
  const parameters = { delay: inMs(delayMs), at: atMs === undefined ? undefined : timeOf(atMs) };
  const response = await post(requests, topic, bytesOf(payload), parameters, options);
  const receipt = await requests.json(response, options) as Record<string, unknown> | null;
  const { topic: name, scheduled: token, durability, duplicate } = receipt ?? {};
  const dueMs = Date.parse(String(receipt?.due));
  if (typeof token !== "string" || Number.isNaN(dueMs)) throw requests.unexpected(response, "no receipt");
  return {
    topic: name as string,
    token,
    dueMs,
    durability: durability as string,
    ...(duplicate ? { duplicate: true } : {}),
  };
}

/** See {@linkcode Client.scheduled}. */
export async function scheduled(
  requests: Requests,
  topic: string,
  options: RequestOptions,
): Promise<ClientScheduledMessage[]> {
  const name = named(topic);
  const response = await requests.ask("GET", withQuery("/-/scheduled", { topic: name }), options);
  if (response === undefined) return [];
  const list = await requests.json(response, options);
  if (!Array.isArray(list) || !list.every(isWireScheduled)) throw requests.unexpected(response, "no list");
  return list.map(({ token, due, bytes, ttl, contentType, headers, key }) => {
    const attributes = contentType ?? headers ?? key;
    return {
      topic: name,
      token,
      dueMs: Date.parse(due),
      bytes,
      ttlMs: ttl === undefined ? undefined : ttl / NS_PER_MS,
      attributes: attributes === undefined ? undefined : { contentType, headers, key },
    };
  });
}

/** See {@linkcode Client.cancel}. */
export async function cancel(
  requests: Requests,
  topic: string,
  token: string,
  options: RequestOptions,
): Promise<boolean> {
  const response = await requests.ask("DELETE", withQuery("/-/scheduled", { topic: named(topic), token }), options);
  await response?.body?.cancel();
  return response !== undefined;
}

/** See {@linkcode Client.request}. */
export async function request(
  requests: Requests,
  topic: string,
  payload: Payload,
  options: ClientRequestOptions,
): Promise<Reply | undefined> {
  const { timeoutMs = 10_000 } = options;
  let response: Response;
  try {
    response = await post(requests, topic, bytesOf(payload), { reply: inMs(timeoutMs) }, options);
  } catch (error) {
    if (error instanceof BusError && error.code === "reply_timeout") return undefined;
    throw error;
  }
  // What follows the headers is a stranger's; that it is an answer to a request, they tell.
  if (!response.headers.has("msgbus-id")) {
    await response.body?.cancel();
    throw requests.unexpected(response, "no reply");
  }
  const contentType = response.headers.get("content-type") ?? undefined;
  return { payload: await requests.bytes(response, options), contentType };
}

/** See {@linkcode Client.reply}. */
export async function reply(
  requests: Requests,
  token: string,
  payload: Payload,
  options: ClientReplyOptions,
): Promise<void> {
  const { contentType, signal } = options;
  if (contentType !== undefined) assertContentType(contentType);
  const headers: Record<string, string> = contentType === undefined ? {} : { "content-type": contentType };
  const path = `/-/reply/${encodeURIComponent(token)}`;
  const response = await requests.demand("POST", path, { body: bytesOf(payload), headers, signal });
  await response.body?.cancel();
}

async function post(
  requests: Requests,
  topic: string,
  body: Uint8Array<ArrayBuffer>,
  parameters: Readonly<Record<string, string | undefined>>,
  options: ClientMessageOptions,
): Promise<Response> {
  const { ttlMs, idempotencyKey, signal } = options;
  if (idempotencyKey !== undefined) assertKey("idempotency key", idempotencyKey);
  const { contentType, headers = {}, key } = attributesOf(options) ?? {};
  const path = withQuery(pathOf(topic), {
    ...parameters,
    // As parameters: in headers, a content type that `curl` sends unasked would not count, and not every text could be.
    "content-type": contentType,
    key,
    ttl: inMs(ttlMs),
    "idempotency-key": idempotencyKey,
  });
  const meta = Object.entries(headers).map(([name, value]) => [`msgbus-meta-${name}`, encodeURIComponent(value)]);
  return await requests.demand("POST", path, { body, headers: Object.fromEntries(meta), signal });
}

function timeOf(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) throw new BusError("bad_option", `Bad atMs: ${ms} is not a time`);
  return date.toISOString();
}

/** The name of a topic, as a parameter. */
function named(topic: string): string {
  pathOf(topic);
  return canonicalTopicName(topic);
}

interface WireReceipt extends Omit<PublishReceipt, "count"> {
  readonly count?: number;
}

function isReceipt(value: unknown): value is WireReceipt {
  if (typeof value !== "object" || value === null) return false;
  const { topic, id, cursor, durability } = value as Record<string, unknown>;
  return typeof topic === "string" && Number.isInteger(id) && typeof cursor === "string" &&
    typeof durability === "string";
}

interface WireScheduled extends Attributes {
  readonly token: string;
  readonly due: string;
  readonly bytes: number;
  readonly ttl?: number;
}

function isWireScheduled(value: unknown): value is WireScheduled {
  if (typeof value !== "object" || value === null) return false;
  const { token, due, bytes } = value as Record<string, unknown>;
  return typeof token === "string" && !Number.isNaN(Date.parse(String(due))) && Number.isInteger(bytes);
}
