/**
 * What is asked of a bus beside publishing and subscribing, and what it answers.
 *
 * @module
 */

import type { Gap } from "../event.ts";
import type { Message } from "../message.ts";
import type { Since } from "../wire/since.ts";
import type { Durability } from "./store.ts";

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
}

/** How to pull; everything has a default. */
export interface PullOptions {
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
}

/** What to browse, and how long to wait for it. */
export interface BrowseWaitingOptions extends BrowseOptions {
  /** How long to wait for a message, in milliseconds. */
  readonly waitMs: number;
  /** Ends the wait when it aborts; the call then rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Messages that were looked at. */
export interface Page extends Batch {
  /** The position after the last message, where the next page begins. */
  readonly next: string;
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
}

/** Everything a bus holds now, and what it has done since it was made. */
export interface BusTotals {
  /** Topics now. */
  readonly topics: number;
  /** Messages retained now. */
  readonly messages: number;
  /** Bytes retained now. */
  readonly bytes: number;
  /** Subscriptions now, those to topics that don't exist yet included. */
  readonly subscriptions: number;
  /** Messages published. */
  readonly published: number;
  /** Messages handed out by queues. */
  readonly pulled: number;
  /** Messages taken by subscriptions; one that two take counts twice. */
  readonly delivered: number;
  /** Messages whose time to live passed. */
  readonly expired: number;
  /** Messages dropped because of a limit. */
  readonly dropped: number;
}
