/**
 * What is asked of a bus beside publishing and subscribing, and what it answers.
 *
 * @module
 */

import type { Gap } from "../event.ts";
import type { Attributes, Message, Position } from "../message.ts";
import type { Since } from "../wire/since.ts";
import type { Durability } from "./store.ts";

/** How to publish; everything has a default. The attributes are checked, see {@linkcode attributesOf}. */
export interface PublishOptions extends Attributes {
  /** How long the message is kept, in milliseconds; `0` means until a limit drops it. Default: as long as the topic says. */
  readonly ttlMs?: number | undefined;
  /** Publish only if the message gets this id, in the topic of this epoch if it is given; else it is `seq_mismatch`. */
  readonly ifMatch?: Position | undefined;
  /**
   * What tells this publish from others, 1 to 256 bytes without control characters: a repeat with the same key to the same
   * topic within `dedupeWindowMs` publishes nothing, and is answered as the first was. It is judged before
   * {@linkcode PublishOptions.ifMatch}. With other payloads it is an `idempotency_conflict`.
   */
  readonly idempotencyKey?: string | undefined;
}

/** How to publish later: exactly one of `delayMs` and `atMs` is needed. */
export interface ScheduleOptions extends Omit<PublishOptions, "ifMatch"> {
  /** How long the message is hidden, in milliseconds, up to ten years. */
  readonly delayMs?: number | undefined;
  /** When it is published, in milliseconds since the Unix epoch, at most ten years from now; at once if that has passed. */
  readonly atMs?: number | undefined;
}

/** How to publish and wait for an answer; everything has a default. */
export interface BusRequestOptions extends Omit<PublishOptions, "idempotencyKey"> {
  /** How long to wait once the message is published, in milliseconds, up to 24 days. Default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait when it aborts; the request then rejects with its reason. The message stays published. */
  readonly signal?: AbortSignal | undefined;
}

/** The options of a publish that sets none. */
export const NO_OPTIONS: PublishOptions & TakeOptions = {};

/** The answer to a publish: it is acknowledged. */
export interface Receipt {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The id of the message; of the first one, if several were published at once. */
  readonly id: number;
  /** How many messages were published; their ids are consecutive. */
  readonly count: number;
  /** The position after the (last) message, `<n>@<epoch>`. */
  readonly cursor: string;
  /** What the acknowledged messages have survived. */
  readonly durability: Durability;
  /** How many subscriptions the topic has. */
  readonly subscribers: number;
  /** That it was published before, with the same idempotency key: the rest is what was answered then. */
  readonly duplicate?: true;
}

/** The answer to a publish that is to happen later: it is acknowledged. */
export interface ScheduleReceipt {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** What cancels it. */
  readonly token: string;
  /** When it is published, in milliseconds since the Unix epoch. */
  readonly dueMs: number;
  /** What the acknowledged message has survived. */
  readonly durability: Durability;
  /** That it was scheduled before, with the same idempotency key: the rest is what was answered then. */
  readonly duplicate?: true;
}

/** What came of a request. */
export interface RequestOutcome {
  /** The answer to its publish. */
  readonly receipt: Receipt;
  /** The first answer of whoever handled the message; `undefined` if time is up. */
  readonly reply: Reply | undefined;
}

/** How to answer a request; everything has a default. */
export interface ReplyOptions {
  /** What the answer is, a media type. Default: nothing is said. */
  readonly contentType?: string | undefined;
}

/** Which messages to take, and how; everything has a default. */
export interface TakeOptions {
  /** The group that takes; one that doesn't exist is made. Default `""`: the queue. */
  readonly group?: string;
  /** Where a group that doesn't exist begins. Default `earliest`. */
  readonly from?: Since;
  /**
   * Lease the messages for so many milliseconds, from 1 s to 12 h, instead of taking them for good: each has a
   * {@linkcode Message.lease}, and is handed out again unless it is acknowledged before that ends.
   */
  readonly leaseMs?: number;
  /** Who has the leases, if that is to be told of them. */
  readonly holder?: LeaseHolder | undefined;
}

/**
 * A reader that stays, and has leases. It is asked how many more it may have, and told of each. A pull for it that has
 * waited leaves the others who wait their share: of what there is then, divided by all who wait, it takes no more than
 * one part. Called in the middle of the work of the bus: be quick, don't throw, don't call the bus.
 */
export interface LeaseHolder {
  /** How many more leases it may have now. */
  readonly room: number;
  /** It has a lease: a message was handed out to it, or a lease of its that had ended was extended. */
  leased(token: string): void;
  /** It has a lease no more: that was settled, has ended, or is gone with its group. */
  released(token: string): void;
}

/** How to pull; everything has a default. */
export interface PullOptions extends TakeOptions {
  /** How long to wait for a message, in milliseconds. Default: not at all. */
  readonly waitMs?: number;
  /** Ends the wait when it aborts; the pull then rejects with its reason, and takes nothing. */
  readonly signal?: AbortSignal;
}

/** How to pull several messages; everything has a default. */
export interface PullBatchOptions extends PullOptions {
  /** How many messages at most. Default 100. */
  readonly limit?: number;
  /** How many bytes at most, as envelopes with a line end each; the first message is given anyway. Default 8 MiB. */
  readonly maxBytes?: number;
}

/** Messages, and what is missing before them. */
export interface Batch {
  /** The messages, in the order of their ids; there may be none. */
  readonly messages: readonly Message[];
  /** The messages before the first one that were wanted and are gone. */
  readonly gap?: Gap | undefined;
}

/** What to browse; everything has a default. */
export interface BrowseOptions {
  /** The first message wanted. Default `earliest`. */
  readonly since?: Since;
  /** How many messages at most. Default 100. */
  readonly limit?: number;
  /** How many bytes at most, as envelopes with a line end each; the first message is given anyway. Default 8 MiB. */
  readonly maxBytes?: number;
  /** How long to wait, in milliseconds, if there is nothing to show; the topic need not exist then. Default: not at all. */
  readonly waitMs?: number;
  /** Ends that when it aborts; the call then rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Messages that were looked at. */
export interface Page extends Batch {
  /** The position after the last message, where the next page begins. */
  readonly next: string;
}

/** A message that is published later. */
export interface ScheduledMessage {
  /** The canonical name of its topic. */
  readonly topic: string;
  /** What cancels it. */
  readonly token: string;
  /** When it is published, in milliseconds since the Unix epoch. */
  readonly dueMs: number;
  /** What it is, with the payload not copied. */
  readonly payload: Uint8Array;
  /** How long it is kept then, in milliseconds; `undefined` if as long as its topic says. */
  readonly ttlMs: number | undefined;
  /** What its publisher says of it. */
  readonly attributes: Attributes | undefined;
}

/** The answer to a request: what whoever handled the message sent back. */
export interface Reply {
  /** The bytes. */
  readonly payload: Uint8Array;
  /** What they are, a media type; `undefined` if whoever replied didn't say. */
  readonly contentType: string | undefined;
}

/** A topic as it is now. */
export interface TopicStats {
  /** The canonical name. */
  readonly name: string;
  /** How long its messages are kept, in milliseconds; `0` means until a limit drops them. */
  readonly ttlMs: number;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly createdMs: number;
  /** The id of its next message. */
  readonly seq: number;
  /** The position after its last message, `<seq>@<epoch>`. */
  readonly cursor: string;
  /** Messages retained. */
  readonly length: number;
  /** Messages retained that the queue has not handed out. */
  readonly pending: number;
  /** Bytes retained. */
  readonly bytes: number;
  /** Subscriptions. */
  readonly subscribers: number;
  /** Groups, the queue not counted. */
  readonly groups: number;
}

/** Everything a bus holds now, and what it has done since it was made. */
export interface BusTotals {
  /** Topics now. */
  readonly topics: number;
  /** Messages retained now. */
  readonly messages: number;
  /** Bytes retained now. */
  readonly bytes: number;
  /** Bytes of messages in memory: of what is retained, if the store gives it back, maybe a small part. */
  readonly residentBytes: number;
  /** Subscriptions now, those to topics that don't exist yet included. */
  readonly subscriptions: number;
  /** Messages to be published later. */
  readonly scheduled: number;
  /** Bytes counted for them. */
  readonly scheduledBytes: number;
  /** Messages published. */
  readonly published: number;
  /** Publishes that were repeats, told by their idempotency key: nothing was published. */
  readonly duplicates: number;
  /** Idempotency keys forgotten before their time, because there were too many. */
  readonly forgottenKeys: number;
  /** Messages handed out by queues. */
  readonly pulled: number;
  /** Leases now that can be settled. */
  readonly leased: number;
  /** Leases acknowledged. */
  readonly acked: number;
  /** Leases handed back. */
  readonly nacked: number;
  /** Messages handed out that had been handed out before. */
  readonly redelivered: number;
  /** Messages that became dead letters. */
  readonly dead: number;
  /** Dead letters published to their topics again. */
  readonly redriven: number;
  /** Messages taken by subscriptions; one that two take counts twice. */
  readonly delivered: number;
  /** Messages whose time to live passed. */
  readonly expired: number;
  /** Messages dropped because of a limit. */
  readonly dropped: number;
  /** Messages that the store could not give back. */
  readonly damaged: number;
}

/** The most that a lease may last, in milliseconds. */
export const MAX_LEASE_MS = 12 * 3_600_000;
/** What is given at once if nothing else is said, in bytes of envelopes with a line end each. */
export const MAX_ANSWER_BYTES: number = 8 * 1024 ** 2;
/** The least that a lease may last, in milliseconds. */
export const MIN_LEASE_MS = 1000;

/** What became of leases that were to be settled. */
export interface Settlement {
  /** The tokens for which it is done, in the order in which they were given. */
  readonly done: readonly string[];
  /** The others: never given out, settled before, or expired and the message handed out again. */
  readonly unknown: readonly string[];
}

/** A group of a topic. */
export interface GroupName {
  /** The name of the topic. */
  readonly topic: string;
  /** The name of the group; `""` is the queue. */
  readonly group: string;
}

/** Which leases may be settled. */
export interface SettleOptions {
  /** Only those of this group: the tokens of all others are unknown, and nothing happens to them. Default: all. */
  readonly of?: GroupName;
}

/** How to hand a message back; everything has a default. */
export interface NackOptions extends SettleOptions {
  /** How long the message is not handed out again, in milliseconds, up to 12 h. Default: at once. */
  readonly delayMs?: number;
  /** Why, for whoever looks at the dead letter; what is longer than 1024 characters is cut. */
  readonly reason?: string;
  /** Whether the attempt counts. Default: it does. */
  readonly count?: boolean;
}

/** Which dead letters to publish again. */
export interface RedriveOptions {
  /** Only those of this group; `""` is the queue. Default: those of all groups. */
  readonly group?: string | undefined;
}

/** What became of dead letters. */
export interface Redriven {
  /** How many were published to the topic they came from. */
  readonly redriven: number;
  /** How many were to be and are dead letters still, because the topic took no more. */
  readonly remaining: number;
}

/** A group of a topic as it is now; the queue is the group `""`. */
export interface GroupStats {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The name of the group. */
  readonly group: string;
  /** The position before which everything is done, `<n>@<epoch>`: acknowledged, dead or lost. */
  readonly cursor: string;
  /** Messages retained that are neither done nor leased now. */
  readonly lag: number;
  /** Messages leased now. */
  readonly leased: number;
  /** Messages handed back, or whose lease expired, that are to be handed out again, now or later. */
  readonly waiting: number;
  /** Messages passed over because another one of their key isn't done. */
  readonly blocked: number;
  /** The highest number of attempts that a message that is not done has had. */
  readonly attempts: number;
  /** How long ago the oldest message that is not done was created, in milliseconds; `undefined` if all are done. */
  readonly oldestUnackedMs: number | undefined;
  /** Messages acknowledged, or taken for good. */
  readonly acked: number;
  /** Messages that became dead letters. */
  readonly dead: number;
  /** Messages that left the topic before the group was done with them. */
  readonly lost: number;
  /** Pulls that wait for a message. */
  readonly waiters: number;
  /** How long the group has not been used, in milliseconds. */
  readonly idleMs: number;
  /** What is wrong with how it is set up, for people; `undefined` if nothing is. */
  readonly warning: string | undefined;
}
