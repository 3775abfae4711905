/**
 * Subscribing: where a subscription begins, who looks after it, and how it ends.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { hasWildcard, parseTopicPattern, type TopicPattern } from "../topic_pattern.ts";
import type { Since } from "../wire/since.ts";
import type { Clock } from "./clock.ts";
import type { Fanout } from "./fanout.ts";
import { type Delivery, type Feed, type FeedHost, TopicFeed } from "./feed.ts";
import { MergedFeed } from "./merged_feed.ts";
import type { Observer } from "./observer.ts";
import type { Pager } from "./pager.ts";
import { PatternTree } from "./pattern_tree.ts";
import type { Retention } from "./retention.ts";
import { Runs } from "./run.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import { assertSince, timeOf } from "./start.ts";
import { type EndReason, type SubscribeOptions, Subscriber, type SubscriberHost } from "./subscription.ts";
import type { Topic } from "./topic.ts";
import type { TopicTable } from "./topic_table.ts";

/** What {@linkcode Subscriptions} work with. */
export interface SubscriptionsParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly pager: Pager;
  readonly fanout: Fanout;
  /** A time before which everything accepted is visible, and nothing to come will have been created. */
  readonly settledMs: () => number;
}

/** Keeps the subscriptions of a bus, from their beginning to their end. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #feedHost: FeedHost;
  #draining = false;
  #delivered = 0;

  /** Makes one without subscriptions. */
  constructor(parts: SubscriptionsParts) {
    this.#parts = parts;
    const { clock, topics, retention, pager, fanout, settledMs } = parts;
    this.#feedHost = {
      runs: new Runs(clock),
      gone: topics.gone,
      pager,
      clock,
      expire: (topic) => {
        // What a deleted one has is not counted any more.
        if (!topic.deleted) retention.expire(topic, clock.now());
      },
      spread: () => fanout.spread(),
      settledMs,
    };
  }

  /** How many messages subscriptions have taken. */
  get delivered(): number {
    return this.#delivered;
  }

  /** See `MessageBus.subscribe`. */
  subscribe(topics: string, options: SubscribeOptions): Subscriber {
    if (this.#draining) throw new BusError("draining", "Cannot subscribe: the bus is shutting down");
    const pattern = parseTopicPattern(topics);
    const { since = "latest", signal } = options;
    assertSince(since);
    const subscriber = new Subscriber(this.#subscriberHost, pattern, this.#feedOf(pattern, since), options);
    this.#parts.observer.subscribed?.(subscriber);
    this.#parts.fanout.add(subscriber);
    if (signal !== undefined) subscriber.obey(signal);
    return subscriber;
  }

  /** Ends all, after telling them of what is new, and refuses further ones with `draining`. */
  drain(): void {
    this.#draining = true;
    this.#parts.fanout.ring();
    for (const subscriber of this.#parts.fanout.all()) this.#end(subscriber, "drained");
  }

  /** Ends the subscriptions to a topic that was deleted, and tells those that read it among others. */
  forget(topic: Topic): void {
    for (const subscriber of this.#parts.fanout.forget(topic)) this.#end(subscriber, "deleted");
  }

  #feedOf(pattern: TopicPattern, since: Since): Feed {
    const { topics, fanout } = this.#parts;
    if (pattern.topic !== undefined) {
      const topic = topics.find(pattern.topic);
      // One that has had no message may never have been: its first publish may be refused.
      return new TopicFeed(this.#feedHost, pattern.topic, topic?.log.next === 0 ? undefined : topic, since);
    }
    if (typeof since === "object" && "next" in since) {
      throw new BusError(
        "bad_cursor",
        `Cannot subscribe to ${quote(pattern.text)} from an id: it has several topics`,
      );
    }
    // What has been published in this turn is not new to it.
    fanout.spread();
    return new MergedFeed(this.#feedHost, pattern, this.#matching(pattern, since), since);
  }

  /** The topics that a subscription to several may have something to read of when it begins, in the order they were made. */
  #matching({ items }: TopicPattern, since: Since): Topic[] {
    const { topics } = this.#parts;
    if (since === "latest") return [];
    if (items.some(hasWildcard)) {
      const wanted = PatternTree.of(items);
      // By far the most are told apart by a number: when their newest message was created.
      const fromMs = typeof since === "object" && "fromMs" in since ? since.fromMs : timeOf(since, topics.gone);
      return [...topics.all()].filter(({ info, newestMs }) => newestMs >= fromMs && wanted.matches(info.name));
    }
    return items.map((item) => topics.get(item)).filter((topic) => topic !== undefined)
      .sort((a, b) => a.info.createdMs - b.info.createdMs);
  }

  readonly #subscriberHost: SubscriberHost = {
    delivered: (delivery: Delivery) => this.#countDelivery(delivery),
    call: (subscriber: Subscriber) => this.#parts.fanout.call(subscriber),
    unsubscribe: (subscriber: Subscriber, reason: EndReason) => this.#end(subscriber, reason),
    watch: (subscriber: Subscriber, everyMs: number) => this.#watch(subscriber, everyMs),
    unwatch: (appointment: Appointment) => this.#parts.schedule.remove(appointment),
  };

  #countDelivery(delivery: Delivery): void {
    const { observer } = this.#parts;
    if (delivery.event === "gap") observer.gap?.(delivery);
    if (delivery.event !== "messages") return;
    const { length } = delivery.messages;
    this.#delivered += length;
    observer.delivered?.(delivery.topic.name, length);
  }

  #watch(subscriber: Subscriber, everyMs: number): Appointment {
    const { clock, schedule } = this.#parts;
    const due = (nowMs: number) => subscriber.tend() ? nowMs + everyMs : Infinity;
    return schedule.add({ due }, clock.now() + everyMs);
  }

  #end(subscriber: Subscriber, reason: EndReason): void {
    const { clock, topics, fanout, observer } = this.#parts;
    if (!fanout.remove(subscriber)) return;
    for (const item of subscriber.pattern.items) {
      const topic = topics.get(item);
      if (topic !== undefined) topic.usedMs = clock.now();
    }
    subscriber.end(reason);
    observer.unsubscribed?.(subscriber, reason);
  }
}
