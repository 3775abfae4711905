/**
 * The bus: topics by name, and the one way in which each of them changes.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { epochOf, formatCursor, Message } from "../message.ts";
import { MemoryStore } from "../store/memory.ts";
import { assertPublishable, canonicalTopicName } from "../topic_name.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Fanout } from "./fanout.ts";
import { largest } from "./largest.ts";
import { type Limits, limitsOf } from "./limits.ts";
import type { Observer } from "./observer.ts";
import { Retention } from "./retention.ts";
import { Schedule } from "./schedule.ts";
import type { Append, Durability, Store } from "./store.ts";
import { type EndReason, type SubscribeOptions, Subscriber, type Subscription } from "./subscription.ts";
import { Topic } from "./topic.ts";

/** How to set up a {@linkcode MessageBus}; everything has a default. */
export interface BusOptions extends Partial<Limits> {
  /** What makes publishes durable. Default: memory, which forgets when the process ends. */
  readonly store?: Store;
  /** Who watches. Default: nobody. */
  readonly observer?: Observer;
  /** Where time comes from. Default: the machine's clock. */
  readonly clock?: Clock;
}

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
  readonly #topics = new Map<string, Topic>();
  readonly #retention: Retention;
  readonly #fanout: Fanout;
  #lastCreatedMs = 0;
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
    const { store = new MemoryStore(), observer = {}, clock = systemClock, ...limits } = options;
    this.limits = limitsOf(limits);
    this.#store = store;
    this.#observer = observer;
    this.#clock = clock;
    this.#schedule = new Schedule(clock);
    this.#fanout = new Fanout(clock);
    this.#retention = new Retention({
      limits: this.limits,
      observer,
      onEmptied: (topic, nowMs) => this.#comeBack(topic, nowMs),
    });
  }

  /**
   * Publishes a message at once. Only with a synchronous store, such as memory; {@linkcode MessageBus.publish} works
   * with all. A text is encoded in UTF-8; bytes are kept as they are, not copied, so don't change them afterwards.
   *
   * @throws {BusError} `not_synchronous`, or as {@linkcode MessageBus.publish}.
   */
  put(topic: string, payload: string | Uint8Array): Message {
    this.#assertSynchronous("put");
    assertPayload(payload);
    const target = this.#admit(topic);
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
    const target = this.#find(topic);
    const message = this.#take(topic, target);
    if (message !== undefined) this.#advance(target!, message);
    return message;
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
    let target = this.#admit(topic);
    // The store must not be asked to append to what it is removing.
    for (; target.removal !== undefined; target = this.#admit(topic)) await target.removal;
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
      subscribers: target.subscribers?.size ?? 0,
    };
  }

  /**
   * Takes the next message of the topic's queue, or `undefined` if there is none. At most one caller ever gets a
   * message this way; those who subscribe are not affected.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`.
   */
  async pull(topic: string): Promise<Message | undefined> {
    this.#assertOpen();
    const target = this.#find(topic);
    const message = this.#take(topic, target);
    if (message !== undefined) {
      const answer = this.#advance(target!, message);
      if (answer !== undefined) await answer;
    }
    return message;
  }

  /**
   * Subscribes to the messages of a topic, which need not exist yet. Doesn't make the topic.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `bad_cursor`, `draining`, `already_closed`.
   */
  subscribe(topic: string, options: SubscribeOptions = {}): Subscription {
    this.#assertOpen();
    if (this.#state === "draining") throw new BusError("draining", "Cannot subscribe: the bus is shutting down");
    const name = canonicalTopicName(topic);
    assertPosition(options.since);
    const subscriber = new Subscriber(this.#host, name, options);
    this.#observer.subscribed?.(subscriber);
    this.#fanout.add(subscriber, this.#topics.get(name), options.since ?? "latest");
    if (options.signal !== undefined) subscriber.obey(options.signal);
    return subscriber;
  }

  /**
   * Deletes a topic with everything in it and ends its subscriptions. A topic made later under the name has another
   * epoch and starts at id 0. Resolves to whether there was one.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `already_closed`.
   */
  async delete(topic: string): Promise<boolean> {
    this.#assertOpen();
    let target = this.#find(topic);
    for (; target?.removal !== undefined; target = this.#find(topic)) await target.removal;
    if (target === undefined) return false;
    const answer = this.#store.remove(target.info);
    if (answer !== undefined) {
      target.removal = Promise.allSettled([answer]);
      try {
        await answer;
      } catch (error) {
        target.removal = undefined;
        // Its first publish may have been refused meanwhile.
        this.#forgetIfUnused(target);
        throw error;
      }
      target.removal = undefined;
    }
    this.#forget(target);
    // A copy: who is told may subscribe again at once.
    for (const subscriber of [...target.subscribers ?? []]) this.#end(subscriber, "deleted");
    return true;
  }

  /** A topic as it is now, or `undefined` if it doesn't exist. Throws `bad_topic` or `not_nfc` for a wrong name. */
  topic(name: string): TopicStats | undefined {
    const topic = this.#find(name);
    return topic === undefined ? undefined : this.#statsOf(topic);
  }

  /** All topics as they are now, sorted by name. */
  topics(): TopicStats[] {
    return [...this.#topics.values()].map((topic) => this.#statsOf(topic))
      .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  /**
   * The topics that have had most messages since they were made, busiest first, at most `count` of them. Looks at every
   * topic once and sorts none of the others, so that it is cheap with many.
   */
  busiest(count: number): TopicStats[] {
    return largest(this.#topics.values(), count, (topic) => topic.log.next).map((topic) => this.#statsOf(topic));
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

  #find(name: string): Topic | undefined {
    return this.#topics.get(name) ?? this.#topics.get(canonicalTopicName(name));
  }

  /** The topic to publish to, made if need be. */
  #admit(name: string): Topic {
    this.#assertOpen();
    const topic = this.#find(name);
    if (topic !== undefined) return topic;
    const canonical = canonicalTopicName(name);
    assertPublishable(canonical);
    if (this.#topics.size >= this.limits.maxTopics) {
      throw new BusError(
        "too_many_topics",
        `Cannot make topic ${quote(canonical)}: there are ${this.limits.maxTopics} already (max-topics)`,
      );
    }
    return this.#make(canonical);
  }

  #make(name: string): Topic {
    const { ttlMs, topicIdleMs } = this.limits;
    const nowMs = this.#clock.now();
    const createdMs = Math.max(nowMs, this.#lastCreatedMs + 1);
    const topic = new Topic({ name, ttlMs, createdMs, epoch: epochOf(createdMs) }, nowMs);
    this.#topics.set(name, topic);
    this.#retention.enter(topic);
    topic.appointment = this.#schedule.add({ due: (nowMs) => this.#tend(topic, nowMs) }, nowMs + topicIdleMs);
    this.#fanout.introduce(topic);
    return topic;
  }

  /** Checks payloads against the limits, and makes of them what the store is asked to append. */
  #prepare(topic: Topic, payloads: readonly Uint8Array[]): Append {
    const nowMs = this.#clock.now();
    this.#retention.expire(topic, nowMs);
    try {
      this.#retention.admit(topic, payloads);
    } catch (error) {
      this.#forgetIfUnused(topic);
      throw error;
    }
    // A clock that is set back must not make a message older than the one before it.
    const createdMs = topic.acceptedMs = Math.max(nowMs, topic.acceptedMs);
    return { topic: topic.info, expectedId: topic.nextId, payloads, createdMs };
  }

  #ask(topic: Topic, append: Append): number | Promise<number> {
    // Not when the topic was made: of one whose first publish is refused nobody sees the epoch.
    if (topic.info.createdMs > this.#lastCreatedMs) this.#lastCreatedMs = topic.info.createdMs;
    try {
      return this.#store.append(append);
    } catch (error) {
      this.#forgetIfUnused(topic);
      throw error;
    }
  }

  /** Applies when the store has answered, in the same step in which the messages stop being on their way. */
  async #applyLater(topic: Topic, append: Append, answer: Promise<number>): Promise<number> {
    const release = this.#retention.reserve(topic, append);
    let firstId: number | undefined;
    try {
      firstId = await answer;
    } finally {
      release();
      if (firstId === undefined) this.#forgetIfUnused(topic);
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
    if (log.length === 0 && info.ttlMs > 0) this.#schedule.move(topic.appointment!, createdMs + info.ttlMs);
    let message: Message | undefined;
    for (const payload of append.payloads) {
      message = new Message(info, { id: log.next, payload, createdMs });
      this.#retention.retain(topic, message);
      this.#published++;
      this.#observer.published?.(message, topic.subscribers?.size ?? 0);
    }
    this.#fanout.ringLater(topic);
    return message;
  }

  #take(name: string, topic: Topic | undefined): Message | undefined {
    let message: Message | undefined;
    if (topic !== undefined) {
      topic.usedMs = this.#clock.now();
      this.#retention.expire(topic, topic.usedMs);
      message = this.#retention.take(topic);
      if (message !== undefined) this.#pulled++;
    }
    this.#observer.pulled?.(topic?.info.name ?? canonicalTopicName(name), message);
    return message;
  }

  /** Tells the store of a pull, unless it is being asked to remove the topic with everything else. */
  #advance(topic: Topic, message: Message): void | Promise<void> {
    if (topic.removal === undefined) return this.#store.advance(topic.info, message.seq);
  }

  /** Looks after a topic: drops what has expired, forgets it when it is idle. Returns when to come back. */
  #tend(topic: Topic, nowMs: number): number {
    this.#retention.expire(topic, nowMs);
    if (topic.log.length > 0) return topic.expiresMs;
    const { topicIdleMs } = this.limits;
    const inUse = topic.subscribers !== undefined || topic.pendingMessages > 0 || topic.removal !== undefined;
    if (inUse) topic.usedMs = nowMs;
    if (nowMs < topic.usedMs + topicIdleMs) return topic.usedMs + topicIdleMs;
    const answer = this.#store.remove(topic.info);
    if (answer === undefined) {
      this.#forget(topic);
      return Infinity;
    }
    // Who publishes meanwhile waits. A store that refuses is asked again when the topic has been idle as long again.
    topic.removal = answer.then(() => this.#forget(topic), () => topic.removal = undefined);
    return nowMs + topicIdleMs;
  }

  /** Has a topic looked after at once: its next appointment was with a message that is gone, or there was none. */
  #comeBack(topic: Topic, nowMs: number): void {
    topic.usedMs = Math.max(topic.usedMs, nowMs);
    this.#schedule.move(topic.appointment!, nowMs);
  }

  /** Undoes {@linkcode MessageBus.#make} when the first publish to a topic is refused. */
  #forgetIfUnused(topic: Topic): void {
    // One that is being deleted is left to that, because publishes wait for it.
    if (topic.nextId > 0 || topic.removal !== undefined || topic.deleted) return;
    this.#forget(topic);
  }

  #forget(topic: Topic): void {
    topic.deleted = true;
    this.#topics.delete(topic.info.name);
    this.#schedule.remove(topic.appointment!);
    this.#retention.leave(topic);
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
      subscribers: topic.subscribers?.size ?? 0,
    };
  }

  readonly #host = {
    expire: (topic: Topic) => this.#retention.expire(topic, this.#clock.now()),
    delivered: () => void this.#delivered++,
    unsubscribe: (subscriber: Subscriber) => this.#end(subscriber, "closed"),
  };

  #end(subscriber: Subscriber, reason: EndReason): void {
    const removed = this.#fanout.remove(subscriber, this.#topics.get(subscriber.topic), reason);
    if (removed) this.#observer.unsubscribed?.(subscriber, reason);
  }
}

/** From JavaScript anything may come, and what has no length would spoil the count of bytes for good. */
function assertPayload(payload: unknown): void {
  if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
    throw new TypeError(`A payload is a string or a Uint8Array, not ${payload}`);
  }
}

function assertPosition(since: SubscribeOptions["since"]): void {
  if (since === undefined || since === "latest" || since === "earliest") return;
  if (typeof since === "object" && Number.isSafeInteger(since?.next) && since.next >= 0) return;
  throw new BusError("bad_cursor", `Cannot subscribe from ${quote(String(since))}: not a position`);
}
