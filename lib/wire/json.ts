/**
 * The envelope: one message as one line of JSON, the format of the original msgbus.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { type Attributes, epochOf, type Handout, MAX_ID, Message, type TopicInfo } from "../message.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";

/** How the wire says "never expires": the zero time of Go, in which the original is written. */
export const NEVER = "0001-01-01T00:00:00Z";

const encoder = new TextEncoder();
const NS_PER_MS = 1_000_000;
const ISO_LENGTH = "2018-03-25T13:18:38.732Z".length;

/**
 * Writes the envelope of a message:
 * `{"id":0,"topic":{"name":"hello","ttl":60000000000,"seq":1,"created":"…"},"payload":"…","expires":"…","created":"…"}`.
 * Times are RFC 3339 in UTC, `ttl` is in nanoseconds, the payload is base64. What is not set is left out: `contentType`,
 * `headers`, `key`, `attempt` and `lease`, at the end, in this order.
 */
export function encodeEnvelope(message: Message): string {
  const { id, topic, payload, createdMs, ttlMs, attributes, handout } = message;
  const { prefix, suffix } = frameOf(topic);
  const expires = ttlMs === 0 ? NEVER : expiryTimes.format(createdMs + ttlMs);
  return `{"id":${id},"topic":${prefix}${id + 1}${suffix},"payload":"${
    encodeBase64(payload)
  }","expires":"${expires}","created":"${creationTimes.format(createdMs)}"${
    attributes === undefined ? "" : partOf(attributes).text
  }${handout === undefined ? "" : handoutPart(handout)}}`;
}

/** What the length of an envelope depends on, beside its topic. */
export interface EnvelopeParts {
  readonly id: number;
  readonly payload: { readonly length: number };
  readonly ttlMs: number;
  readonly attributes: Attributes | undefined;
  readonly handout?: Handout | undefined;
}

/** The length of {@linkcode encodeEnvelope}'s result in bytes of UTF-8, without making it. */
export function envelopeLength(topic: TopicInfo, parts: EnvelopeParts): number {
  const { id, payload, ttlMs, attributes, handout } = parts;
  return frameOf(topic).length + digits(id) + digits(id + 1) + 4 * Math.ceil(payload.length / 3) +
    (ttlMs === 0 ? NEVER.length : ISO_LENGTH) + (attributes === undefined ? 0 : partOf(attributes).bytes) +
    (handout === undefined ? 0 : handoutPart(handout).length);
}

/**
 * Reads an envelope, from this server or the original. Members it does not know are ignored.
 *
 * @throws {BusError} `unexpected_answer` if it is not an envelope.
 */
export function decodeEnvelope(text: string): Message {
  try {
    const { id, topic, payload, created, expires, contentType, headers, key, attempt, lease } = JSON.parse(text);
    if (!Number.isInteger(id) || id < 0 || id > MAX_ID) throw new TypeError(`id is ${id}`);
    if (typeof topic.name !== "string") throw new TypeError(`topic.name is ${topic.name}`);
    const { ttl = 0 } = topic;
    if (!Number.isFinite(ttl)) throw new TypeError(`topic.ttl is ${ttl}`);
    const createdMs = timeOf(created, "created");
    const topicCreatedMs = timeOf(topic.created, "topic.created");
    const ttlMs = expires === undefined || expires === NEVER ? 0 : timeOf(expires, "expires") - createdMs;
    return new Message(
      {
        name: topic.name,
        ttlMs: Math.round(ttl / NS_PER_MS),
        createdMs: topicCreatedMs,
        epoch: epochOf(topicCreatedMs),
      },
      {
        id,
        payload: decodeBase64(payload ?? ""),
        createdMs,
        ttlMs,
        attributes: attributesIn({ contentType, headers, key }),
        handout: handoutIn({ attempt, lease }),
      },
    );
  } catch (cause) {
    throw new BusError("unexpected_answer", `Cannot read a message: ${quote(text)}`, { cause });
  }
}

/** The attributes among what an envelope has; what is of another type than it should be does not count. */
function attributesIn({ contentType, headers, key }: Record<string, unknown>): Attributes | undefined {
  if (contentType === undefined && headers === undefined && key === undefined) return undefined;
  const entries = Object.entries(Object(headers)).filter((entry): entry is [string, string] =>
    typeof entry[1] === "string"
  );
  return {
    contentType: typeof contentType === "string" ? contentType : undefined,
    headers: entries.length === 0 ? undefined : Object.assign(Object.create(null), Object.fromEntries(entries)),
    key: typeof key === "string" ? key : undefined,
  };
}

/** How often it was handed out, if it says so. */
function handoutIn({ attempt, lease }: Record<string, unknown>): Handout | undefined {
  if (!Number.isInteger(attempt)) return undefined;
  return { attempt: attempt as number, lease: typeof lease === "string" ? lease : undefined };
}

function timeOf(value: unknown, name: string): number {
  const ms = typeof value === "string" ? Date.parse(value) : NaN;
  if (Number.isNaN(ms)) throw new TypeError(`${name} is ${value}`);
  return ms;
}

interface Part {
  readonly text: string;
  readonly bytes: number;
}

const parts = new WeakMap<Attributes, Part>();

/** The part of the envelope that says what the publisher said, made once for all messages that share it. */
function partOf(attributes: Attributes): Part {
  let part = parts.get(attributes);
  if (part === undefined) {
    const { contentType, headers, key } = attributes;
    const text = JSON.stringify({ contentType, headers, key }).slice(1, -1);
    part = { text: text === "" ? "" : `,${text}`, bytes: text === "" ? 0 : encoder.encode(text).length + 1 };
    parts.set(attributes, part);
  }
  return part;
}

/** The part of the envelope that says that it was handed out. */
function handoutPart({ attempt, lease }: Handout): string {
  return lease === undefined ? `,"attempt":${attempt}` : `,"attempt":${attempt},"lease":${JSON.stringify(lease)}`;
}

interface TopicFrame {
  readonly prefix: string;
  readonly suffix: string;
  readonly length: number;
}

const frames = new WeakMap<TopicInfo, TopicFrame>();

/** The part of the envelope that is equal for all messages of a topic, made once. */
function frameOf(topic: TopicInfo): TopicFrame {
  let frame = frames.get(topic);
  if (frame === undefined) {
    // As text: from 104 days on, nanoseconds are more than a number holds exactly.
    const ttl = topic.ttlMs === 0 ? "0" : `${topic.ttlMs}000000`;
    const prefix = `{"name":${JSON.stringify(topic.name)},"ttl":${ttl},"seq":`;
    const suffix = `,"created":"${new Date(topic.createdMs).toISOString()}"}`;
    const rest = `{"id":,"topic":,"payload":"","expires":"","created":""}`.length + ISO_LENGTH;
    frame = { prefix, suffix, length: encoder.encode(prefix).length + suffix.length + rest };
    frames.set(topic, frame);
  }
  return frame;
}

function digits(n: number): number {
  let count = 1;
  for (let limit = 10; n >= limit; limit *= 10) count++;
  return count;
}

/** Formats times that mostly lie in the same second; `Date.toISOString` costs more than all the rest of an envelope. */
class TimeFormat {
  #second = NaN;
  #prefix = "";

  format(ms: number): string {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
    }
    const fraction = ms - second * 1000;
    return `${this.#prefix}${fraction < 10 ? "00" : fraction < 100 ? "0" : ""}${fraction}Z`;
  }
}

// Two, because they alternate between two seconds.
const creationTimes = new TimeFormat();
const expiryTimes = new TimeFormat();
