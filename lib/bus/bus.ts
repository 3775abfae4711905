/**
 * The bus: topics by name, and the one way in which each of them changes.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Gap } from "../event.ts";
import { formatCursor, Message } from "../message.ts";
import { MemoryStore } from "../store/memory.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { hasWildcard, parseTopicPattern, type TopicPattern } from "../topic_pattern.ts";
import type { Since } from "../wire/since.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Fanout } from "./fanout.ts";
import { type Delivery, type Feed, type FeedHost, TopicFeed } from "./feed.ts";
import type {
  Batch,
  BrowseOptions,
  BusTotals,
  Page,
  PullBatchOptions,
  PullOptions,
  Receipt,
  TopicStats,
} from "./answers.ts";
import { largest } from "./largest.ts";
import { type Limits, limitsOf } from "./limits.ts";
import { MergedFeed } from "./merged_feed.ts";
import type { Observer } from "./observer.ts";
import { PatternTree } from "./pattern_tree.ts";
import { Retention } from "./retention.ts";
import { lineLength, Runs } from "./run.ts";
import { type Appointment, Schedule } from "./schedule.ts";
import { assertSince, startOf } from "./start.ts";
import type { Append, Store } from "./store.ts";
import {
  type EndReason,
  type SubscribeOptions,
  Subscriber,
  type SubscriberHost,
  type Subscription,
} from "./subscription.ts";
import { TopicTable } from "./topic_table.ts";
import type { Topic } from "./topic.ts";
import { WaitingPulls, type WaitOptions } from "./waiting_pulls.ts";

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

  readonly #store: Store;
  readonly #observer: Observer;
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #retention: Retention;
  readonly #fanout: Fanout;
  readonly #topics: TopicTable;
  readonly #waiting: WaitingPulls;
  readonly #feedHost: FeedHost;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly #startedMs: number;
  /** No message to come will have been created before this. */
  #acceptedMs: number;
  /** What the store has been asked to append and hasn't answered for, in the order in which it was accepted. */
  readonly #pending = new Set<Append>();
  #state: "open" | "draining" | "closed" = "open";

  #published = 0;
  #pulled = 0;
  #delivered = 0;

  /**
   * Makes an empty bus.
   *
   * @throws {BusError} `bad_option` for a limit that is none.
   */
  constructor(options: BusOptions = {}) {
    const { store = new MemoryStore(), observer = {}, clock = systemClock, ...given } = options;
    const limits = this.limits = limitsOf(given);
    this.#store = store;
    this.#observer = observer;
    this.#clock = clock;
    this.#startedMs = this.#acceptedMs = clock.now();
    const schedule = this.#schedule = new Schedule(clock);
    const onEmptied = (topic: Topic, nowMs: number) => this.#topics.comeBack(topic, nowMs);
    const retention = this.#retention = new Retention({ limits, observer, onEmptied });
    this.#waiting = new WaitingPulls(clock);
    const fanout = this.#fanout = new Fanout(clock, (topic) => this.#waiting.serve(topic.info.name));
    this.#topics = new TopicTable({ limits, clock, schedule, retention, fanout, store });
    this.#feedHost = {
      runs: new Runs(clock),
      startedMs: this.#startedMs,
      expire: (topic) => {
        // What a deleted one has is not counted any more.
        if (!topic.deleted) retention.expire(topic, clock.now());
      },
      spread: () => fanout.spread(),
      settledMs: () => this.#settledMs(),
    };
  }

  /**
   * Publishes a message at once. Only with a synchronous store, such as memory; {@linkcode MessageBus.publish} works
   * with all. A text is encoded in UTF-8; bytes are kept as they are, not copied, so don't change them afterwards.
   *
   * @throws {BusError} `not_synchronous`, or as {@linkcode MessageBus.publish}.
   */
  put(topic: string, payload: string | Uint8Array): Message {
    this.#assertSynchronous("put");
    this.#assertOpen();
    assertPayload(payload);
    const target = this.#topics.admit(topic);
    const append = this.#prepare(target, [target.encode(payload)]);
    return this.#apply(target, append, this.#ask(target, append) as number)!;
  }

  /**
   * Takes the next message of the topic's queue at once, or `undefined` if there is none. Only with a synchronous
   * store; {@linkcode MessageBus.pull} works with all.
   *
   * @throws {BusError} `not_synchronous`, or as {@linkcode MessageBus.pull}.
   */
  get(topic: string): Message | undefined {
    this.#assertSynchronous("get");
    this.#assertOpen();
    return this.#take(topic, ONE_MESSAGE).messages[0];
  }

  /**
   * Publishes a message, or several with consecutive ids, all or none. Resolves when they are as durable as the store
   * promises; only then does any reader see them. Makes the topic if need be.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `reserved`, `too_large`, `topic_full`, `too_many_topics`, `overloaded`,
   * `already_closed`, `id_space_exhausted`, `bad_request` for no message at all. A refused publish takes no id.
   */
  async publish(topic: string, payload: string | Uint8Array | readonly (string | Uint8Array)[]): Promise<Receipt> {
    const payloads = (Array.isArray(payload) ? payload : [payload]) as readonly (string | Uint8Array)[];
    payloads.forEach(assertPayload);
    const count = payloads.length;
    if (count === 0) throw new BusError("bad_request", `Cannot publish to ${quote(topic)}: no message was given`);
    this.#assertOpen();
    let target = this.#topics.admit(topic);
    // The store must not be asked to append to what it is removing.
    for (; target.removal !== undefined; target = this.#topics.admit(topic)) {
      await target.removal;
      this.#assertOpen();
    }
    const append = this.#prepare(target, payloads.map((each) => target.encode(each)));
    const answer = this.#ask(target, append);
    // A synchronous store is not awaited: nothing may happen between the check, the append and what follows from it.
    let firstId: number;
    if (typeof answer === "number") this.#apply(target, append, firstId = answer);
    else firstId = await this.#applyLater(target, append, answer);
    return {
      topic: target.info.name,
      id: firstId,
      count,
      cursor: formatCursor(firstId + count, target.info.epoch),
      durability: this.#store.durability,
      subscribers: this.#fanout.countOf(target),
    };
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
  async pullBatch(topic: string, options: PullBatchOptions = {}): Promise<Batch> {
    this.#assertOpen();
    const { waitMs = 0, signal } = options;
    signal?.throwIfAborted();
    // Nothing is taken for who waits, no gap either: it may give up.
    const taken = waitMs > 0 && !this.#hasNext(topic)
      ? await this.#takeLater(topic, options, { waitMs, signal })
      : this.#take(topic, options);
    const { messages, gap, noted } = taken;
    if (noted !== undefined) await noted;
    return { messages, gap };
  }

  async #takeLater(topic: string, options: PullBatchOptions, wait: WaitOptions): Promise<Taken> {
    if (this.#state === "draining") throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const name = canonicalTopicName(topic);
    const take = () => this.#hasNext(name) ? this.#take(name, options) : undefined;
    return await this.#waiting.wait(name, take, wait) ?? this.#take(name, NO_MESSAGE);
  }

  /**
   * Shows retained messages of a topic and takes nothing; `undefined` if the topic doesn't exist.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_cursor`, `already_closed`.
   */
  browse(topic: string, options: BrowseOptions = {}): Page | undefined {
    this.#assertOpen();
    const { since = "earliest", limit = 100, maxBytes = MAX_BATCH_BYTES } = options;
    assertSince(since);
    const target = this.#topics.find(topic);
    if (target === undefined) return undefined;
    this.#retention.expire(target, this.#clock.now());
    const start = startOf(target, since, this.#startedMs);
    const gap = start.gap ?? target.gapAt(start.next);
    const messages: Message[] = [];
    let next = Math.max(start.next, target.log.first);
    for (let bytes = 0; messages.length < limit; next++) {
      const message = target.log.get(next);
      if (message === undefined) break;
      bytes += lineLength(message);
      if (messages.length > 0 && bytes > maxBytes) break;
      messages.push(message);
    }
    if (gap !== undefined) this.#observer.gap?.(gap);
    return { messages, gap, next: formatCursor(next, target.info.epoch) };
  }

  /**
   * Subscribes to the messages of a topic; of several, separated by commas; or of all that match a pattern, `orders/*`
   * (one segment) or `orders/**` (one or more, at the end). The topics need not exist yet, and are not made.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_cursor`, `draining`, `already_closed`.
   */
  subscribe(topics: string, options: SubscribeOptions = {}): Subscription {
    this.#assertOpen();
    if (this.#state === "draining") throw new BusError("draining", "Cannot subscribe: the bus is shutting down");
    const pattern = parseTopicPattern(topics);
    const { since = "latest", signal } = options;
    assertSince(since);
    let feed: Feed;
    if (pattern.topic !== undefined) {
      const topic = this.#topics.find(pattern.topic);
      // One that has had no message may never have been: its first publish may be refused.
      feed = new TopicFeed(this.#feedHost, pattern.topic, topic?.log.next === 0 ? undefined : topic, since);
    } else {
      if (typeof since === "object" && "next" in since) {
        throw new BusError(
          "bad_cursor",
          `Cannot subscribe to ${quote(pattern.text)} from an id: it has several topics`,
        );
      }
      // What has been published in this turn is not new to it.
      this.#fanout.spread();
      feed = new MergedFeed(this.#feedHost, pattern.text, this.#matching(pattern, since), since);
    }
    const subscriber = new Subscriber(this.#subscriberHost, pattern, feed, options);
    this.#observer.subscribed?.(subscriber);
    this.#fanout.add(subscriber);
    if (signal !== undefined) subscriber.obey(signal);
    return subscriber;
  }

  /**
   * Deletes a topic with everything in it and ends the subscriptions to it alone. A topic made later under the name has
   * another epoch and starts at id 0. Resolves to whether there was one.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`.
   */
  async delete(topic: string): Promise<boolean> {
    this.#assertOpen();
    let target = this.#topics.find(topic);
    for (; target?.removal !== undefined; target = this.#topics.find(topic)) await target.removal;
    if (target === undefined) return false;
    const answer = this.#store.remove(target.info);
    if (answer !== undefined) {
      target.removal = Promise.allSettled([answer]);
      try {
        await answer;
      } catch (error) {
        target.removal = undefined;
        // Its first publish may have been refused meanwhile.
        this.#topics.forgetIfUnused(target);
        throw error;
      }
      target.removal = undefined;
    }
    target.cleared = true;
    this.#topics.forget(target);
    for (const subscriber of this.#fanout.forget(target)) this.#end(subscriber, "deleted");
    return true;
  }

  /** A topic as it is now, or `undefined` if it doesn't exist. Throws `bad_topic` or `not_nfc` for a wrong name. */
  topic(name: string): TopicStats | undefined {
    const topic = this.#topics.find(name);
    return topic === undefined ? undefined : this.#statsOf(topic);
  }

  /** All topics as they are now, sorted by name. */
  topics(): TopicStats[] {
    return [...this.#topics.all()].map((topic) => this.#statsOf(topic))
      .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  /**
   * The topics that have had most messages since they were made, busiest first, at most `count` of them. Looks at every
   * topic once and sorts none of the others, so that it is cheap with many.
   */
  busiest(count: number): TopicStats[] {
    return largest(this.#topics.all(), count, (topic) => topic.log.next).map((topic) => this.#statsOf(topic));
  }

  /** Everything the bus holds, and what it has done. */
  totals(): BusTotals {
    return {
      topics: this.#topics.size,
      ...this.#retention.totals,
      subscriptions: this.#fanout.size,
      published: this.#published,
      pulled: this.#pulled,
      delivered: this.#delivered,
    };
  }

  /**
   * Ends all subscriptions, after telling them of what is new, and refuses further ones with `draining`. Publishing and
   * pulling go on, so that requests in work can finish. A second call does nothing.
   */
  drain(): void {
    if (this.#state === "open") this.#state = "draining";
    this.#fanout.ring();
    this.#waiting.giveUp();
    for (const subscriber of this.#fanout.all()) this.#end(subscriber, "drained");
  }

  /** Drains, then ends: closes the store and refuses everything from then on with `already_closed`. */
  async close(): Promise<void> {
    this.drain();
    this.#state = "closed";
    this.#schedule.stop();
    await this.#store.close();
  }

  /** Same as {@linkcode MessageBus.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #assertOpen(): void {
    if (this.#state === "closed") throw new BusError("already_closed", "Cannot use the bus: it is closed");
  }

  #assertSynchronous(method: string): void {
    if (!this.#store.synchronous) {
      throw new BusError("not_synchronous", `Cannot ${method} at once: the store answers later`);
    }
  }

  /** Checks payloads against the limits, and makes of them what the store is asked to append. */
  #prepare(topic: Topic, payloads: readonly Uint8Array[]): Append {
    const nowMs = this.#clock.now();
    this.#retention.expire(topic, nowMs);
    try {
      this.#retention.admit(topic, payloads);
    } catch (error) {
      this.#topics.forgetIfUnused(topic);
      throw error;
    }
    // A clock that is set back must not make a message older than one before it, whatever the topic: the cursors of
    // subscriptions to several topics are times.
    const createdMs = this.#acceptedMs = Math.max(nowMs, this.#acceptedMs);
    return { topic: topic.info, expectedId: topic.nextId, payloads, createdMs };
  }

  #ask(topic: Topic, append: Append): number | Promise<number> {
    this.#topics.noteUse(topic);
    try {
      return this.#store.append(append);
    } catch (error) {
      this.#topics.forgetIfUnused(topic);
      throw error;
    }
  }

  /** Applies when the store has answered, in the same step in which the messages stop being on their way. */
  async #applyLater(topic: Topic, append: Append, answer: Promise<number>): Promise<number> {
    const release = this.#retention.reserve(topic, append);
    this.#pending.add(append);
    let firstId: number | undefined;
    try {
      firstId = await answer;
    } finally {
      release();
      this.#pending.delete(append);
      if (firstId === undefined) this.#topics.forgetIfUnused(topic);
    }
    this.#apply(topic, append, firstId);
    return firstId;
  }

  /** Makes visible what the store has taken. Returns the last message. */
  #apply(topic: Topic, append: Append, firstId: number): Message | undefined {
    if (topic.deleted) return undefined;
    const { info, log } = topic;
    if (firstId !== log.next) {
      throw new BusError("internal", `The store assigned id ${firstId} instead of ${log.next} in ${quote(info.name)}`);
    }
    const { createdMs } = append;
    if (firstId === 0) this.#fanout.introduce(topic);
    if (log.length === 0 && info.ttlMs > 0) this.#schedule.move(topic.appointment!, createdMs + info.ttlMs);
    let message: Message | undefined;
    for (const payload of append.payloads) {
      message = new Message(info, { id: log.next, payload, createdMs });
      this.#retention.retain(topic, message);
      this.#published++;
      this.#observer.published?.(message, this.#fanout.countOf(topic));
    }
    if (this.#fanout.hasAudience(topic) || this.#waiting.has(info.name)) {
      this.#fanout.ringLater(topic, firstId, createdMs);
    }
    return message;
  }

  /** Whether there is something next in a topic's queue. */
  #hasNext(name: string): boolean {
    const topic = this.#topics.find(name);
    if (topic === undefined) return false;
    topic.usedMs = this.#clock.now();
    this.#retention.expire(topic, topic.usedMs);
    return topic.queue.peek(topic.log) !== undefined;
  }

  /** Takes what is next in a topic's queue, and tells the store. */
  #take(name: string, { limit = 1, maxBytes = MAX_BATCH_BYTES }: PullBatchOptions): Taken {
    const topic = this.#topics.find(name);
    const messages: Message[] = [];
    let gap: Gap | undefined;
    if (topic !== undefined) {
      topic.usedMs = this.#clock.now();
      this.#retention.expire(topic, topic.usedMs);
      gap = this.#retention.skip(topic);
      for (let bytes = 0; messages.length < limit;) {
        const next = topic.queue.peek(topic.log);
        if (next === undefined) break;
        if (limit > 1 && (bytes += lineLength(next)) > maxBytes && messages.length > 0) break;
        const message = this.#retention.take(topic)!;
        messages.push(message);
        this.#pulled++;
        this.#observer.pulled?.(topic.info.name, message);
      }
    }
    if (messages.length === 0) this.#observer.pulled?.(topic?.info.name ?? canonicalTopicName(name), undefined);
    if (gap !== undefined) this.#observer.gap?.(gap);
    const last = messages.at(-1);
    // At once, so that it learns of pulls in their order; unless it is being asked to remove the topic with everything.
    const note = last !== undefined && topic!.removal === undefined;
    const noted = note ? this.#store.advance(topic!.info, last.seq) : undefined;
    return { messages, gap, noted };
  }

  /** The topics that a subscription to several may have something to read of when it begins, in the order they were made. */
  #matching({ items }: TopicPattern, since: Since): Topic[] {
    if (since === "latest") return [];
    const tree = new PatternTree<string>();
    for (const item of items) tree.add(item, item);
    if (items.some(hasWildcard)) {
      return [...this.#topics.all()].filter(({ info }) => tree.matching(info.name).length > 0);
    }
    return items.map((item) => this.#topics.get(item)).filter((topic) => topic !== undefined)
      .sort((a, b) => a.info.createdMs - b.info.createdMs);
  }

  #statsOf(topic: Topic): TopicStats {
    const { info, log, queue } = topic;
    this.#retention.expire(topic, this.#clock.now());
    return {
      name: info.name,
      ttlMs: info.ttlMs,
      createdMs: info.createdMs,
      seq: log.next,
      cursor: formatCursor(log.next, info.epoch),
      length: log.length,
      pending: queue.lag(log),
      bytes: topic.bytes,
      subscribers: this.#fanout.countOf(topic),
    };
  }

  readonly #subscriberHost: SubscriberHost = {
    delivered: (delivery: Delivery) => this.#countDelivery(delivery),
    unsubscribe: (subscriber: Subscriber, reason: EndReason) => this.#end(subscriber, reason),
    watch: (subscriber: Subscriber, everyMs: number) => this.#watch(subscriber, everyMs),
    unwatch: (appointment: Appointment) => this.#schedule.remove(appointment),
  };

  /** See {@linkcode FeedHost.settledMs}. */
  #settledMs(): number {
    // The clock may be set back before the next message is accepted.
    this.#acceptedMs = Math.max(this.#clock.now(), this.#acceptedMs);
    const [oldest] = this.#pending;
    return oldest?.createdMs ?? this.#acceptedMs;
  }

  #countDelivery(delivery: Delivery): void {
    if (delivery.event === "gap") this.#observer.gap?.(delivery);
    if (delivery.event !== "messages") return;
    const { length } = delivery.messages;
    this.#delivered += length;
    this.#observer.delivered?.(delivery.topic.name, length);
  }

  #watch(subscriber: Subscriber, everyMs: number): Appointment {
    const due = (nowMs: number) => subscriber.tend() ? nowMs + everyMs : Infinity;
    return this.#schedule.add({ due }, this.#clock.now() + everyMs);
  }

  #end(subscriber: Subscriber, reason: EndReason): void {
    if (!this.#fanout.remove(subscriber)) return;
    for (const item of subscriber.pattern.items) {
      const topic = this.#topics.get(item);
      if (topic !== undefined) topic.usedMs = this.#clock.now();
    }
    subscriber.end(reason);
    this.#observer.unsubscribed?.(subscriber, reason);
  }
}

/** What was taken of a queue; `noted` settles when the store has learnt of that. */
interface Taken extends Batch {
  readonly noted: void | Promise<void>;
}

const ONE_MESSAGE: PullBatchOptions = {};
const NO_MESSAGE: PullBatchOptions = { limit: 0 };
/** What is given at once, of a queue or to look at, in bytes of envelopes with a line end each. */
const MAX_BATCH_BYTES = 8 * 1024 ** 2;

/** From JavaScript anything may come, and what has no length would spoil the count of bytes for good. */
function assertPayload(payload: unknown): void {
  if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
    throw new TypeError(`A payload is a string or a Uint8Array, not ${payload}`);
  }
}
