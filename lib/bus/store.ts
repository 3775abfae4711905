/**
 * The seam between the bus and whatever keeps its messages: memory, a journal, a replicated log.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Attributes, MessageInit, TopicInfo } from "../message.ts";

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
  /**
   * The token of the {@linkcode DelayedMessage} that this is; in the same step it stops being one. If it was one no more,
   * because somebody else has appended or cancelled it, that rejects with `no_scheduled`.
   */
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
  /** Its key. */
  readonly key?: string | undefined;
  /** Why it was handed back, if it was. */
  readonly reason?: string | undefined;
}

/**
 * What has changed of a group. It is done with every message before `next` but those that are unacknowledged. Leases
 * themselves are not noted: they end with the process, and their messages are handed out again.
 */
export interface GroupChange {
  /** The name of the group; `""` is the queue. */
  readonly group: string;
  /** The id of the next message that is new to it. It is lower than before only after a change that was rejected. */
  readonly next: number;
  /** Messages that are not done, or were not and are so in another way. A later one of the same id counts. */
  readonly unacked: readonly UnackedMessage[];
  /** Messages that were not done and are; one that is in `unacked`, too, is done. */
  readonly done: readonly number[];
  /** What it has counted so far, in all. */
  readonly counts: GroupCounts;
}

/** What a group counts. */
export interface GroupCounts {
  /** Messages acknowledged, or taken for good. */
  readonly acked: number;
  /** Messages that became dead letters. */
  readonly dead: number;
  /** Messages that left the log before the group was done with them. */
  readonly lost: number;
}

/** What has left the log of a topic since the store was last told. */
export interface Dropped {
  /** Every message before this one has. */
  readonly before: number;
  /** Others that have, from behind it, in rising order. */
  readonly ids: readonly number[];
  /** When the newest message before `before` was created, in milliseconds since the Unix epoch. */
  readonly lostMs: number;
  /** The newest message that a limit has dropped, if any, ever. */
  readonly limit: { readonly id: number; readonly createdMs: number } | undefined;
}

/** The messages that a topic retains, without what is in them: one column for each property, in the order of their ids. */
export interface StoredIndex {
  /** Their ids. */
  readonly ids: Float64Array;
  /** When they were created, in milliseconds since the Unix epoch. */
  readonly createdMs: Float64Array;
  /** What they are counted for, in bytes. See `retainedBytes`. */
  readonly bytes: Uint32Array;
  /** How long those are kept that are kept for another time than their topic says, in milliseconds, by id. */
  readonly ttlMs: ReadonlyMap<number, number>;
}

/** A group as the store knows it. */
export interface StoredGroup {
  /** Its name; `""` is the queue. */
  readonly name: string;
  /** See {@linkcode GroupChange.next}. */
  readonly next: number;
  /** All that it is not done with behind that, in the order of their ids. */
  readonly unacked: readonly UnackedMessage[];
  /** What it has counted. */
  readonly counts: GroupCounts;
}

/** A publish that is remembered, so that a repeat is known as one, and what it was answered. */
export interface StoredAnswer {
  /** What tells it from others. */
  readonly idempotency: Idempotency;
  /** The ids it was given, if it was an append. */
  readonly appended?: { readonly firstId: number; readonly count: number } | undefined;
  /** What it was called and when it is due, if it was a message to be appended later. */
  readonly delayed?: { readonly token: string; readonly dueMs: number } | undefined;
}

/** A topic as the store knows it. */
export interface StoredTopic {
  /** What it is. The same object counts as the topic from then on. */
  readonly info: TopicInfo;
  /** The id of the next message. */
  readonly next: number;
  /** What is retained, holes possible. */
  readonly index: StoredIndex;
  /** See {@linkcode Dropped.before}; 0 if nothing was dropped. Others from there on may be gone, too. */
  readonly before: number;
  /** See {@linkcode Dropped.lostMs}; `-Infinity` if nothing was dropped. */
  readonly lostMs: number;
  /** See {@linkcode Dropped.limit}. */
  readonly limit: Dropped["limit"];
  /** Its groups; the queue is among them if it was used. */
  readonly groups: readonly StoredGroup[];
  /** What is to be appended later, in the order in which it was accepted. */
  readonly delayed: readonly DelayedMessage[];
  /** Publishes that are remembered. */
  readonly answers: readonly StoredAnswer[];
}

/** Everything that a store has kept. Times are in milliseconds since the Unix epoch. */
export interface Stored {
  /** When the store was made; before that there was nothing. `Infinity` for one that keeps nothing: that is now. */
  readonly startedMs: number;
  /** The latest time that a topic was said to be made at. */
  readonly lastCreatedMs: number;
  /** The topics, in the order in which they were made. */
  readonly topics: readonly StoredTopic[];
  /** The topics that were removed last, in that order, and when the newest message of each was created. */
  readonly gone: readonly { readonly name: string; readonly newestMs: number }[];
  /** Before this time there may have been topics that are not among those. */
  readonly goneFromMs: number;
}

/** Who is told of what others do to the same store. */
export interface StoreListener {
  /**
   * Somebody else has appended, maybe to a topic that the bus doesn't know; `expectedId` is the first id. What the bus has
   * asked for and was told to have failed, because the answer was lost, may come this way, too. Told in the order of the
   * ids of a topic, the answers to the bus's own appends counted, and not in the same turn of the event loop as one of those
   * before it: who waits for a promise hears of it a little later. Without payloads: somebody else has made the topic, by a
   * message that is to be appended later.
   */
  appended(append: Append): void;
  /** Somebody else has removed a topic with everything it has. */
  removed(topic: TopicInfo): void;
}

/**
 * Rejects an append, or a message to be appended later, to a topic that is not the one of its name, or no longer: somebody
 * else has made that first, or has removed this one. The bus must have been told so before; it asks again, for the topic
 * that there is.
 */
export class TopicSuperseded extends BusError {
  /** Makes the one of the topic of this name. */
  constructor(name: string) {
    super("overloaded", `Cannot publish to ${quote(name)}: somebody else is making or deleting it`);
  }
}

/**
 * Makes changes durable, and gives back what it keeps. The bus asks before it applies a change, and shows and acknowledges nothing before the store
 * has answered; a rejected change has not happened. Calls for one topic are answered in the order they were made; an append that settles
 * or drops something of another topic is a call for that, too.
 *
 * Groups are the exception: they change at once, so that nobody else gets the same message meanwhile, and whoever asked
 * is answered when the store has. If that rejects, whoever asked is told so, and what a pull has taken goes back. What
 * else the group has told the store before it was answered builds on that, and must be rejected, too; the bus tells it all
 * again with the next change, as it is then.
 */
export interface Store {
  /** What {@linkcode Store.append} promises once it has answered. */
  readonly durability: Durability;
  /** Whether every answer is given at once, without a promise; then the bus has `put` and `get`. */
  readonly synchronous: boolean;
  /**
   * Whether it reads back what it was given: then the bus keeps in memory what fits there. Else what the bus keeps is all
   * there is.
   */
  readonly readsBack: boolean;
  /**
   * Why no change can be made now, such as a full disk; `undefined` if one can be tried. The bus asks before it changes
   * what can't be taken back.
   */
  readonly refusal: BusError | undefined;
  /** Begins; answers with all it keeps. Called once, before everything else. Everything else may be called at any time. */
  open(listener: StoreListener): Stored | Promise<Stored>;
  /**
   * Reads the messages of a topic back from the first id to the last, both included, in their order. What was dropped is
   * missing, and so is what is damaged. Only if it {@linkcode Store.readsBack}.
   */
  read(topic: TopicInfo, ids: { readonly first: number; readonly last: number }): Promise<readonly MessageInit[]>;
  /** Appends; answers the id of the first message. */
  append(append: Append): number | Promise<number>;
  /** Notes what has changed of a group, which it learns of by that. Not of a removed topic. */
  note(topic: TopicInfo, change: GroupChange): void | Promise<void>;
  /** Forgets a group of a topic, if it has learnt of it. */
  forget(topic: TopicInfo, group: string): void | Promise<void>;
  /** Keeps a message that is to be appended later. When it is due, the bus asks for the append. */
  delay(message: DelayedMessage): void | Promise<void>;
  /**
   * Forgets a message that was to be appended later. Not of a removed topic. If there is none, because somebody else has
   * appended or cancelled it, that rejects with `no_scheduled`.
   */
  cancel(topic: TopicInfo, token: string): void | Promise<void>;
  /**
   * Forgets messages that left their log, when there is time for it; those that it hasn't forgotten when the process ends
   * are there again. It must not throw.
   */
  drop(topic: TopicInfo, dropped: Dropped): void;
  /** Forgets a topic with everything it has; its newest message was created at `newestMs`, `-Infinity` if there was none. */
  remove(topic: TopicInfo, newestMs: number): void | Promise<void>;
  /** Ends; a second call does nothing. */
  close(): void | Promise<void>;
}
