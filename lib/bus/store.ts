/**
 * The seam between the bus and whatever keeps its messages: memory, a journal, a replicated log.
 *
 * @module
 */

import type { Attributes, TopicInfo } from "../message.ts";

/** What an acknowledged publish has survived when it is acknowledged. */
export type Durability = "memory" | "synced" | "replicated" | "replicated-synced";

/** Messages to append to one topic: all of them with consecutive ids, or none. */
export interface Append {
  /** The topic; the store learns of a topic by its first append. */
  readonly topic: TopicInfo;
  /**
   * The id the first message gets, unless an append before it, not yet answered, is rejected, or somebody else appends
   * to the same store meanwhile.
   */
  readonly expectedId: number;
  /** The payloads, in order; at least one. */
  readonly payloads: readonly Uint8Array[];
  /** When they were accepted, in milliseconds since the Unix epoch. */
  readonly createdMs: number;
  /** How long they are kept, in milliseconds; `0` means until a limit drops them. Default: as long as the topic says. */
  readonly ttlMs?: number | undefined;
  /** What the publisher says of each of them. */
  readonly attributes?: Attributes | undefined;
  /** Whether to refuse it, with `seq_mismatch`, unless the first message gets {@linkcode Append.expectedId}. */
  readonly exact?: boolean;
}

/**
 * Makes changes durable. The bus asks before it applies a change, and shows and acknowledges nothing before the store
 * has answered; a rejected change has not happened. Calls for one topic are answered in the order they were made.
 *
 * A pull is the exception: its message is taken at once, so that nobody else gets it meanwhile, and handed out when the
 * store has answered. If that rejects, the pull fails, and the message is not handed out again: at most once.
 */
export interface Store {
  /** What {@linkcode Store.append} promises once it has answered. */
  readonly durability: Durability;
  /** Whether every answer is given at once, without a promise; then the bus has `put` and `get`. */
  readonly synchronous: boolean;
  /** Appends; answers the id of the first message. */
  append(append: Append): number | Promise<number>;
  /** Notes that the queue of a topic has handed out every message before the id `next`. Not of a removed topic. */
  advance(topic: TopicInfo, next: number): void | Promise<void>;
  /** Forgets a topic with everything it has. */
  remove(topic: TopicInfo): void | Promise<void>;
  /** Ends; a second call does nothing. */
  close(): void | Promise<void>;
}
