/**
 * The bus: topics by name, and the one way in which each of them changes.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { Message } from "../message.ts";
import { MemoryStore } from "../store/memory.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type Batch,
  type BrowseOptions,
  type BusRequestOptions,
  type BusTotals,
  type GroupStats,
  type NackOptions,
  NO_OPTIONS,
  type Page,
  type PublishOptions,
  type PullBatchOptions,
  type PullOptions,
  type Receipt,
  type Redriven,
  type RedriveOptions,
  type ReplyOptions,
  type RequestOutcome,
  type ScheduledMessage,
  type ScheduleOptions,
  type ScheduleReceipt,
  type Settlement,
  type SettleOptions,
  type TakeOptions,
  type TopicStats,
} from "./answers.ts";
import { delayedOf } from "./delayed.ts";
import { wantedOf } from "./intake.ts";
import { type Limits, limitsOf } from "./limits.ts";
import type { Observer } from "./observer.ts";
import { Overview } from "./overview.ts";
import { Others } from "./others.ts";
import { assemble, type BusBeginning, type BusParts } from "./parts.ts";
import type { Store } from "./store.ts";
import type { SubscribeOptions, Subscription } from "./subscription.ts";

/** How to set up a {@linkcode MessageBus}; everything has a default. */
export interface BusOptions extends Partial<Limits> {
  /** What makes publishes durable. Default: memory, which forgets when the process ends. */
  readonly store?: Store;
  /** Who watches. Default: nobody. */
  readonly observer?: Observer;
  /** Where time comes from. Default: the machine's clock. */
  readonly clock?: Clock;
}

/**
 * A message bus: named topics, each an append-only log with a queue to pull from and subscriptions that are told of
 * every message. Made for one process; `createHandler` serves it over HTTP.
 *
 * @example
 * ```ts
 * import { MessageBus } from "@msgbus/msgbus";
 *
 * const bus = new MessageBus();
 * bus.put("foo", "Hello World!");
 * const message = bus.get("foo");
 * if (message) console.log(`id=${message.id} topic=${message.topic.name} payload=${message.text()}`);
 * ```
 */
export class MessageBus implements AsyncDisposable {
  /** The limits it keeps. */
  readonly limits: Limits;

  readonly #parts: BusParts;
  readonly #overview: Overview;
  #closed = false;

  /**
   * Makes a bus with a store that is open at once, as memory is; {@linkcode MessageBus.open} works with all.
   *
   * @throws {BusError} `bad_option` for a limit that is none; `not_synchronous` for a store that takes time to open, which
   * is closed then.
   */
  constructor(options: BusOptions = {}) {
    const beginning = (options as Opened)[BEGINNING];
    const { store = new MemoryStore(), observer = {}, clock = systemClock, ...given } = options;
    this.limits = limitsOf(given);
    this.#parts = assemble({ limits: this.limits, store, observer, clock }, beginning ?? beginAtOnce(store));
    this.#overview = new Overview(this.#parts);
  }

  /**
   * Opens a bus on what its store has kept: topics with their messages, ids and epochs, cursors, messages to be published
   * later, and what repeats are known by are as they were. Leases have ended, and their messages are handed out again, or
   * are dead letters after their last attempt; how often a message was handed out is kept. What became due meanwhile is
   * published, in its order, with the time of now. What a group or a topic is forgotten for not being used begins anew.
   *
   * @throws {BusError} `bad_option` for a limit that is none, and what the store throws that can't be opened.
   */
  static async open(options: BusOptions = {}): Promise<MessageBus> {
    const { store = new MemoryStore() } = options;
    // Before the store is opened, which may be the only one who can.
    const { store: _, observer: __, clock: ___, ...given } = options;
    limitsOf(given);
    const others = new Others();
    const stored = await store.open(others);
    const opened: Opened = { ...options, store, [BEGINNING]: { stored, others } };
    return new MessageBus(opened);
  }

  /**
   * Publishes a message at once. Only with a synchronous store, such as memory; {@linkcode MessageBus.publish} works
   * with all. A text is encoded in UTF-8; bytes are kept as they are, not copied, so don't change them afterwards. A repeat
   * that its idempotency key tells publishes nothing and gives the message that was published before.
   *
   * @throws {BusError} `not_synchronous`, or as {@linkcode MessageBus.publish}.
   */
  put(topic: string, payload: string | Uint8Array, options: PublishOptions = NO_OPTIONS): Message {
    this.#assertSynchronous("put");
    this.#assertOpen();
    return this.#parts.intake.put(topic, payload, wantedOf(options));
  }

  /**
   * Takes or leases the next message of the topic's queue, or of a group, at once; `undefined` if there is none. Only with
   * a synchronous store; {@linkcode MessageBus.pull} works with all.
   *
   * @throws {BusError} `not_synchronous`, also if the store reads back and the message is not in memory, or as
   * {@linkcode MessageBus.pull}.
   */
  get(topic: string, options: TakeOptions = NO_OPTIONS): Message | undefined {
    this.#assertSynchronous("get");
    this.#assertOpen();
    this.#parts.delayed.publishDueIn(topic);
    return this.#parts.queues.get(topic, options);
  }

  /**
   * Publishes a message, or several with consecutive ids, all or none. Resolves when they are as durable as the store
   * promises; only then does any reader see them. Makes the topic if need be.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `reserved`, `too_large`, `topic_full`, `too_many_topics`, `overloaded`,
   * `already_closed`, `id_space_exhausted`, `bad_header`, `headers_too_large`, `seq_mismatch`,
   * `idempotency_conflict`, `bad_option` for a wrong time to live, `bad_request` for no message at all. A refused publish
   * takes no id.
   */
  async publish(
    topic: string,
    payload: string | Uint8Array | readonly (string | Uint8Array)[],
    options: PublishOptions = NO_OPTIONS,
  ): Promise<Receipt> {
    this.#assertOpen();
    const payloads = (Array.isArray(payload) ? payload : [payload]) as readonly (string | Uint8Array)[];
    return await this.#parts.intake.publish(topic, payloads, wantedOf(options), this.#assertOpenNow);
  }

  /**
   * Publishes a message later: until then nobody sees it, and it has neither an id nor a time. Those of a topic that are due
   * are published in the order of their times, then of the calls, at most 20 ms late, and before anything that is published
   * later than they are due. Only what could be published now is accepted, and the limits count it from now on. Resolves
   * when it is as durable as the store promises. Makes the topic if need be; with the topic it is deleted.
   *
   * @throws {BusError} as {@linkcode MessageBus.publish}, and `bad_option` for a wrong time.
   */
  async schedule(topic: string, payload: string | Uint8Array, options: ScheduleOptions): Promise<ScheduleReceipt> {
    this.#assertOpen();
    return await this.#parts.delayed.schedule(topic, payload, delayedOf(options), this.#assertOpenNow);
  }

  /**
   * The messages that are to be published in a topic, those due first in front; none if the topic doesn't exist.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`.
   */
  scheduled(topic: string): ScheduledMessage[] {
    return this.#parts.delayed.list(topic);
  }

  /**
   * Takes back a message that was to be published later. Resolves to whether it was there, and is not published.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`.
   */
  async cancel(topic: string, token: string): Promise<boolean> {
    this.#assertOpen();
    return await this.#parts.delayed.cancel(topic, token);
  }

  /**
   * Publishes a message, and waits for an answer: whoever handles the message gives what its header `msgbus-reply-to` says
   * to {@linkcode MessageBus.reply}. The first answer counts. Without one in time there is no `reply`.
   *
   * @throws {BusError} as {@linkcode MessageBus.publish}, `bad_option` for a wrong `timeoutMs`, `draining` when the bus
   * drains; the signal's reason if it aborts.
   */
  async request(
    topic: string,
    payload: string | Uint8Array,
    options: BusRequestOptions = {},
  ): Promise<RequestOutcome> {
    this.#assertOpen();
    return await this.#parts.requests.ask(topic, payload, options, this.#assertOpenNow);
  }

  /**
   * Answers a request; `token` is the header `msgbus-reply-to` of its message.
   *
   * @throws {BusError} `reply_gone` if nobody waits for it, or it was answered before; `too_large`, `bad_header`,
   * `already_closed`.
   */
  reply(token: string, payload: string | Uint8Array, options: ReplyOptions = {}): void {
    this.#assertOpen();
    this.#parts.requests.reply(token, payload, options);
  }

  /**
   * Takes the next message of the topic's queue, or `undefined` if there is none. At most one caller ever gets a
   * message this way; those who subscribe are not affected.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`, `draining` if the bus drains while it waits.
   */
  async pull(topic: string, options: PullOptions = {}): Promise<Message | undefined> {
    const { messages: [message] } = await this.pullBatch(topic, { ...options, limit: 1 });
    return message;
  }

  /**
   * Takes the next messages of the topic's queue, none if there are none. Those who wait are served in the order in which
   * they came, at the end of the turn of the event loop in which a message is published. What the queue has lost before
   * the first message, because it expired or was dropped, is told once, as a gap, to the first who is answered after it.
   *
   * @throws {BusError} as {@linkcode MessageBus.pull}.
   */
  pullBatch(topic: string, options: PullBatchOptions = {}): Promise<Batch> {
    this.#parts.delayed.publishDueIn(topic);
    // Not async: every further promise shows in the number of pulls a second.
    return this.#parts.queues.pullBatch(topic, options, this.#assertOpenNow);
  }

  /**
   * Is done with leased messages: they are not handed out again in their groups. That of a lease that has ended counts,
   * if the message was not handed out again. The group changes at once, in this call; the promise is for the store. If
   * that rejects, the group stays changed, and the store learns of it with the group's next change: only if the process
   * ends before that, the message is handed out again. A store that says beforehand that it can't be changed, such as one
   * whose disk is full, makes the call throw, and nothing is changed.
   *
   * @throws {BusError} `bad_topic` or `not_nfc` for a wrong one in `of`, `already_closed`; what the store says, such as
   * `disk_full`.
   */
  ack(tokens: string | readonly string[], options: SettleOptions = {}): Promise<Settlement> {
    this.#assertOpen();
    return this.#parts.leases.ack(listOf(tokens), options);
  }

  /**
   * Hands leased messages back, to be handed out again before anything new, at once or after a delay. One that has had
   * all its attempts becomes a dead letter in `<topic>/-dead`; the promise doesn't wait for that.
   *
   * @throws {BusError} `bad_option` for a wrong delay or reason, or as {@linkcode MessageBus.ack}.
   */
  nack(tokens: string | readonly string[], options: NackOptions = {}): Promise<Settlement> {
    this.#assertOpen();
    return this.#parts.leases.nack(listOf(tokens), options);
  }

  /**
   * Makes leases last for `leaseMs` from now on. Default: as long as each was to last at first.
   *
   * @throws {BusError} `bad_option` for a lease that is not from 1 s to 12 h, or as {@linkcode MessageBus.ack}.
   */
  extend(tokens: string | readonly string[], leaseMs?: number, options: SettleOptions = {}): Promise<Settlement> {
    this.#assertOpen();
    return this.#parts.leases.extend(listOf(tokens), leaseMs, options);
  }

  /**
   * Makes a group as a first pull would, and takes nothing: one that doesn't exist begins at `from`, or, if there is no
   * topic yet, with the first message. Does nothing to one that exists but that it counts as used.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_group`, `bad_cursor`, `bad_option`, `too_many_groups`,
   * `already_closed`.
   */
  makeGroup(topic: string, options: TakeOptions): void {
    this.#assertOpen();
    this.#parts.queues.makeGroup(topic, options);
  }

  /**
   * The groups of a topic as they are now, the queue first; none if the topic doesn't exist. Without a topic those of all
   * topics, but queues that nothing was leased from.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`.
   */
  groups(topic?: string): GroupStats[] {
    return this.#parts.keeper.list(topic);
  }

  /**
   * Forgets a group, with its leases. Resolves to whether there was one; the queue is always there and can't be forgotten.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_group`, `already_closed`.
   */
  async deleteGroup(topic: string, group: string): Promise<boolean> {
    this.#assertOpen();
    return await this.#parts.keeper.delete(topic, group);
  }

  /**
   * Publishes dead letters to the topic they came from, oldest first, as new messages that everybody sees; they leave the
   * topic of dead letters. Resolves to `undefined` if there is neither that nor the topic.
   *
   * @throws {BusError} as {@linkcode MessageBus.publish}, if not even the first can be published.
   */
  redrive(topic: string, { group }: RedriveOptions = {}): Promise<Redriven | undefined> {
    return this.#parts.redrives.redrive(topic, group, this.#assertOpenNow);
  }

  /**
   * Shows retained messages of a topic and takes nothing; `undefined` if the topic doesn't exist. If there is nothing to
   * show and `waitMs` is given, it waits until there is; then the page has what is new. It resolves to what there is when
   * time is up.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_cursor`, `already_closed`, and `draining` if the bus drains while it
   * waits.
   */
  async browse(topic: string, options: BrowseOptions = {}): Promise<Page | undefined> {
    this.#assertOpen();
    this.#parts.delayed.publishDueIn(topic);
    return await this.#parts.browsing.browse(topic, options);
  }

  /**
   * Subscribes to the messages of a topic; of several, separated by commas; or of all that match a pattern, `orders/*`
   * (one segment) or `orders/**` (one or more, at the end). The topics need not exist yet, and are not made.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_cursor`, `draining`, `already_closed`.
   */
  subscribe(topics: string, options: SubscribeOptions = {}): Subscription {
    this.#assertOpen();
    return this.#parts.subscriptions.subscribe(topics, options);
  }

  /**
   * Deletes a topic with everything in it and ends the subscriptions to it alone. A topic made later under the name has
   * another epoch and starts at id 0. Resolves to whether there was one.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`.
   */
  async delete(topic: string): Promise<boolean> {
    this.#assertOpen();
    return await this.#parts.topics.delete(topic);
  }

  /** A topic as it is now, or `undefined` if it doesn't exist. Throws `bad_topic` or `not_nfc` for a wrong name. */
  topic(name: string): TopicStats | undefined {
    return this.#overview.topic(name);
  }

  /** The names of all topics, sorted. */
  names(): string[] {
    return this.#overview.names();
  }

  /** All topics as they are now, sorted by name. */
  topics(): TopicStats[] {
    return this.#overview.topics();
  }

  /**
   * The topics that have had most messages since they were made, busiest first, at most `count` of them. Looks at every
   * topic once and sorts none of the others, so that it is cheap with many.
   */
  busiest(count: number): TopicStats[] {
    return this.#overview.busiest(count);
  }

  /** Everything the bus holds, and what it has done. */
  totals(): BusTotals {
    return this.#overview.totals();
  }

  /**
   * Ends all subscriptions, after telling them of what is new, and all waiting, and refuses more of that with `draining`. Publishing and
   * pulling go on, so that requests in work can finish. A second call does nothing.
   */
  drain(): void {
    this.#parts.subscriptions.drain();
    this.#parts.queues.drain();
    this.#parts.browsing.drain();
    this.#parts.requests.drain();
  }

  /** Drains, then ends: closes the store and refuses everything from then on with `already_closed`. */
  async close(): Promise<void> {
    this.drain();
    this.#closed = true;
    this.#parts.schedule.stop();
    this.#parts.delayed.stop();
    // What is to be moved at the end of this turn would find the store closed.
    this.#parts.deadLetters.flushAll();
    this.#parts.keeper.tellAll();
    this.#parts.untold.tell();
    await this.#parts.store.close();
  }

  /** Same as {@linkcode MessageBus.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #assertOpenNow = () => this.#assertOpen();

  #assertOpen(): void {
    if (this.#closed) throw new BusError("already_closed", "Cannot use the bus: it is closed");
  }

  #assertSynchronous(method: string): void {
    if (!this.#parts.store.synchronous) {
      throw new BusError("not_synchronous", `Cannot ${method} at once: the store answers later`);
    }
  }
}

/** What a bus begins with, if its store is open; nobody else has the name of it. */
const BEGINNING = Symbol("beginning");
type Opened = BusOptions & { readonly [BEGINNING]?: BusBeginning };

function beginAtOnce(store: Store): BusBeginning {
  const others = new Others();
  const stored = store.open(others);
  if (!(stored instanceof Promise)) return { stored, others };
  // Nobody is told what comes of it any more.
  stored.catch(() => {}).then(() => store.close());
  throw new BusError("not_synchronous", "Cannot make a bus at once: its store takes time to open, use MessageBus.open");
}

function listOf(tokens: string | readonly string[]): readonly string[] {
  return typeof tokens === "string" ? [tokens] : tokens;
}
