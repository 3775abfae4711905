/**
 * The seam between the bus and whatever keeps its messages: memory, a journal, a replicated log.
 *
 * @module
 */

import type { Attributes, TopicInfo } from "../message.ts";

/** What an acknowledged publish has survived when it is acknowledged. */
export type Durability = "memory" | "synced" | "replicated" | "replicated-synced";

/** What tells a publish from others, so that a repeat is known as one. */
export interface Idempotency {
  /** What its publisher calls it. */
  readonly key: string;
  /** What it has, in 16 hexadecimal digits; another publish by the same key has another one. */
  readonly fingerprint: string;
  /** How long a repeat is known as one, in milliseconds since the Unix epoch. */
  readonly untilMs: number;
}

/** A message to be appended later. */
export interface DelayedMessage {
  /** The topic; the store learns of a topic by its first append or its first message to be appended later. */
  readonly topic: TopicInfo;
  /** What it is called until then; no other one of the bus is called so. */
  readonly token: string;
  /** When it is to be appended, in milliseconds since the Unix epoch. Those of the same time are in the order of the calls. */
  readonly dueMs: number;
  /** The payload. */
  readonly payload: Uint8Array;
  /** How long it is kept then, in milliseconds; `0` means until a limit drops it. Default: as long as the topic says. */
  readonly ttlMs?: number | undefined;
  /** What the publisher says of it. */
  readonly attributes?: Attributes | undefined;
  /** What tells it from others. */
  readonly idempotency?: Idempotency | undefined;
}

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
  /** What leaves its log in the same step: a dead letter that is published to its topic again. */
  readonly drops?: { readonly topic: TopicInfo; readonly id: number } | undefined;
  /** What is changed in the same step: a group is done with what becomes a dead letter here. */
  readonly settles?: { readonly topic: TopicInfo; readonly change: GroupChange } | undefined;
  /** What tells them from others. */
  readonly idempotency?: Idempotency | undefined;
  /** The token of the {@linkcode DelayedMessage} that this is; in the same step it stops being one. */
  readonly scheduled?: string | undefined;
}

/** A message that a group has handed out, or passed over, and is not done with. */
export interface UnackedMessage {
  /** Its id. */
  readonly id: number;
  /** How often it was handed out, as far as that counts; `0` if it was passed over. */
  readonly attempt: number;
  /** Before when it is not handed out again, in milliseconds since the Unix epoch, if it was handed back for later. */
  readonly notBeforeMs?: number | undefined;
}

/**
 * What has changed of a group. It is done with every message before `next` but those that are unacknowledged. Leases
 * themselves are not noted: they end with the process, and their messages are handed out again.
 */
export interface GroupChange {
  /** The name of the group; `""` is the queue. */
  readonly group: string;
  /** The id of the next message that is new to it. */
  readonly next: number;
  /** Messages that are not done, or were not and are so in another way. A later one of the same id counts. */
  readonly unacked: readonly UnackedMessage[];
  /** Messages that were not done and are; one that is in `unacked`, too, is done. */
  readonly done: readonly number[];
}

/**
 * Makes changes durable. The bus asks before it applies a change, and shows and acknowledges nothing before the store
 * has answered; a rejected change has not happened. Calls for one topic are answered in the order they were made.
 *
 * Groups are the exception: they change at once, so that nobody else gets the same message meanwhile, and whoever asked
 * is answered when the store has. If that rejects, a plain pull fails and its message is not handed out again (at most
 * once); that of a lease is, when that has ended.
 */
export interface Store {
  /** What {@linkcode Store.append} promises once it has answered. */
  readonly durability: Durability;
  /** Whether every answer is given at once, without a promise; then the bus has `put` and `get`. */
  readonly synchronous: boolean;
  /** Appends; answers the id of the first message. */
  append(append: Append): number | Promise<number>;
  /** Notes what has changed of a group, which it learns of by that. Not of a removed topic. */
  note(topic: TopicInfo, change: GroupChange): void | Promise<void>;
  /** Forgets a group of a topic, if it has learnt of it. */
  forget(topic: TopicInfo, group: string): void | Promise<void>;
  /** Keeps a message that is to be appended later. When it is due, the bus asks for the append. */
  delay(message: DelayedMessage): void | Promise<void>;
  /** Forgets a message that was to be appended later. Not of a removed topic. */
  cancel(topic: TopicInfo, token: string): void | Promise<void>;
  /** Forgets a topic with everything it has. */
  remove(topic: TopicInfo): void | Promise<void>;
  /** Ends; a second call does nothing. */
  close(): void | Promise<void>;
}
