/**
 * The limits of a bus and their defaults, in the one place that has them.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { TopicInfo } from "../message.ts";
import { envelopeLength, type EnvelopeParts } from "../wire/json.ts";

/** What happens to a publish that would exceed a limit: the oldest messages are dropped, or it is refused. */
export type Discard = "old" | "new";

/** How much a bus keeps, and for how long. */
export interface Limits {
  /** How long messages are kept, in milliseconds; `0` means until another limit drops them. Default 60 s. */
  readonly ttlMs: number;
  /** Messages retained in a topic. Default 65 536. */
  readonly maxMessages: number;
  /**
   * Bytes retained in a topic; a message counts as its serialised envelope plus {@linkcode MESSAGE_OVERHEAD_BYTES}.
   * Default 64 MiB.
   */
  readonly maxTopicBytes: number;
  /**
   * Bytes retained in all topics together, counted alike. With a store that reads back: those of them that are kept in
   * memory, too, and nothing is dropped for it. Default 512 MiB.
   */
  readonly maxMemoryBytes: number;
  /** Bytes in one payload. Default 1 MiB. */
  readonly maxPayloadBytes: number;
  /** Topics. Default 65 536. */
  readonly maxTopics: number;
  /** How long a topic with nothing retained and no reader is remembered, in milliseconds. Default 24 h. */
  readonly topicIdleMs: number;
  /** Groups of a topic, the queue not counted. Default 1000. */
  readonly maxGroups: number;
  /** Messages that a group may have handed out or passed over and not be done with. Default 10 000. */
  readonly maxLeased: number;
  /** How often a message is leased before it becomes a dead letter; `0` means without end. Default 5. */
  readonly maxAttempts: number;
  /** How long a group that nobody uses is remembered, in milliseconds. Default 24 h. */
  readonly groupIdleMs: number;
  /**
   * What makes room in a full topic or a full memory. `old` drops the oldest messages. `new` drops only messages that
   * all groups are done with, the queue among them unless there are only others, and refuses the publish if that is not
   * enough. Default `old`.
   */
  readonly discard: Discard;
  /**
   * How long an idempotency key is remembered, in milliseconds, from the first publish with it on; `0` means not at all.
   * At most {@linkcode MAX_DEDUPE_KEYS} are. Default 2 min.
   */
  readonly dedupeWindowMs: number;
}

/** The limits of a bus that sets none. */
export const DEFAULT_LIMITS: Limits = {
  ttlMs: 60_000,
  maxMessages: 65_536,
  maxTopicBytes: 64 * 1024 ** 2,
  maxMemoryBytes: 512 * 1024 ** 2,
  maxPayloadBytes: 1024 ** 2,
  maxTopics: 65_536,
  topicIdleMs: 24 * 3_600_000,
  maxGroups: 1000,
  maxLeased: 10_000,
  maxAttempts: 5,
  groupIdleMs: 24 * 3_600_000,
  discard: "old",
  dedupeWindowMs: 120_000,
};

/** The most idempotency keys that a bus remembers; the oldest is forgotten for another one. */
export const MAX_DEDUPE_KEYS = 100_000;

/** The longest time to live, in milliseconds: what the original's reader keeps of it, 64-bit nanoseconds, 292 years. */
export const MAX_TTL_MS = 9_223_372_036_854;

/**
 * Completes limits with the defaults, and checks them: a time to live is whole milliseconds, up to 292 years; the others
 * are 0 or more, `Infinity` included.
 *
 * @throws {BusError} `bad_option`.
 */
export function limitsOf(given: Partial<Limits>): Limits {
  const set = Object.fromEntries(Object.entries(given).filter(([_, value]) => value !== undefined));
  const limits: Limits = { ...DEFAULT_LIMITS, ...set };
  const unknown = Object.keys(set).find((name) => !(name in DEFAULT_LIMITS));
  if (unknown !== undefined) throw new BusError("bad_option", `Unknown limit ${quote(unknown)}`);
  const { discard, ttlMs, ...counts } = limits;
  if (discard !== "old" && discard !== "new") throw badLimit("discard", discard);
  assertTtl(ttlMs);
  for (const [name, count] of Object.entries(counts)) {
    if (typeof count !== "number" || !(count >= 0)) throw badLimit(name, count);
  }
  return limits;
}

/**
 * Checks a time to live: whole milliseconds, up to 292 years.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < 0 || ttlMs > MAX_TTL_MS) throw badLimit("ttlMs", ttlMs);
}

function badLimit(name: string, value: unknown): BusError {
  return new BusError("bad_option", `Bad limit ${name}: ${value}`);
}

/** What a retained message is counted for beyond its envelope: the objects that hold it. */
export const MESSAGE_OVERHEAD_BYTES = 128;

/** What a message is counted for while it is retained. */
export function retainedBytes(topic: TopicInfo, parts: EnvelopeParts): number {
  return envelopeLength(topic, parts) + MESSAGE_OVERHEAD_BYTES;
}
