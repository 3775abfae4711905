/**
 * Who is told of what: the subscribers of each topic name, and the bell that rings once a turn.
 *
 * @module
 */

import type { Position } from "../message.ts";
import type { Clock } from "./clock.ts";
import { Cursor } from "./cursor.ts";
import type { EndReason, Subscriber } from "./subscription.ts";
import type { Topic } from "./topic.ts";

/** Where a subscription begins; see `SubscribeOptions.since`. */
export type Since = "latest" | "earliest" | Position;

/** Keeps the subscribers of a bus by topic name, because they may come before their topic does. */
export class Fanout {
  readonly #clock: Clock;
  readonly #byName = new Map<string, Set<Subscriber>>();
  #size = 0;
  /** The topics that have something new for their subscribers. */
  #dirty: Topic[] = [];

  /** Makes a fan-out without subscribers. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many subscribers there are. */
  get size(): number {
    return this.#size;
  }

  /** All subscribers. */
  all(): Subscriber[] {
    return [...this.#byName.values()].flatMap((subscribers) => [...subscribers]);
  }

  /** Adds a subscriber; `topic` is the topic of its name, if there is one. */
  add(subscriber: Subscriber, topic: Topic | undefined, since: Since): void {
    let subscribers = this.#byName.get(subscriber.topic);
    if (subscribers === undefined) this.#byName.set(subscriber.topic, subscribers = new Set());
    subscribers.add(subscriber);
    this.#size++;
    if (topic === undefined) return;
    topic.subscribers = subscribers;
    this.#attach(subscriber, topic, since);
  }

  /** Introduces a topic that was just made to those who have waited for it. */
  introduce(topic: Topic): void {
    topic.subscribers = this.#byName.get(topic.info.name);
    for (const subscriber of topic.subscribers ?? []) this.#attach(subscriber, topic, "earliest");
  }

  /** Removes a subscriber and ends it; `topic` is the topic of its name, if there is one. Returns whether it was there. */
  remove(subscriber: Subscriber, topic: Topic | undefined, reason: EndReason): boolean {
    const subscribers = this.#byName.get(subscriber.topic);
    if (!subscribers?.delete(subscriber)) return false;
    this.#size--;
    if (subscribers.size === 0) {
      this.#byName.delete(subscriber.topic);
      if (topic !== undefined) {
        topic.subscribers = undefined;
        topic.usedMs = this.#clock.now();
      }
    }
    subscriber.end(reason);
    return true;
  }

  /** Tells the subscribers of a topic, if it has any, at the end of this turn of the event loop. */
  ringLater(topic: Topic): void {
    if (topic.subscribers === undefined || topic.dirty) return;
    topic.dirty = true;
    if (this.#dirty.push(topic) === 1) this.#clock.defer(() => this.ring());
  }

  /** Tells the subscribers of every topic that has something new. */
  ring(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const topic of dirty) {
      topic.dirty = false;
      // Not those who come while others are told: one that leaves and comes again would be told for ever.
      let left = topic.subscribers?.size ?? 0;
      for (const subscriber of topic.subscribers ?? []) {
        if (left-- === 0) break;
        subscriber.wake();
      }
    }
  }

  #attach(subscriber: Subscriber, topic: Topic, since: Since): void {
    const { log, info } = topic;
    let next = since === "latest" ? log.next : log.first;
    if (typeof since === "object") {
      const { next: wanted, epoch = info.epoch } = since;
      if (epoch === info.epoch && wanted <= log.next) next = wanted;
    }
    subscriber.attach(topic, new Cursor(next));
    if (next < log.next) this.ringLater(topic);
  }
}
