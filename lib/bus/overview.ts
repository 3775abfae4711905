/**
 * The bus seen from outside: its topics, and everything it holds.
 *
 * @module
 */

import { formatCursor } from "../message.ts";
import type { BusTotals, TopicStats } from "./answers.ts";
import { largest } from "./largest.ts";
import type { BusParts } from "./parts.ts";
import type { Topic } from "./topic.ts";

/** Counts what the parts of a bus hold. */
export class Overview {
  readonly #parts: BusParts;

  /** Makes the one of a bus that is made of these. */
  constructor(parts: BusParts) {
    this.#parts = parts;
  }

  /** See `MessageBus.topic`. */
  topic(name: string): TopicStats | undefined {
    const topic = this.#parts.topics.find(name);
    return topic === undefined ? undefined : this.#statsOf(topic);
  }

  /** See `MessageBus.names`. */
  names(): string[] {
    return Array.from(this.#parts.topics.all(), ({ info }) => info.name).sort();
  }

  /** See `MessageBus.topics`. */
  topics(): TopicStats[] {
    return Array.from(this.#parts.topics.all(), (topic) => this.#statsOf(topic))
      .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  /** See `MessageBus.busiest`. */
  busiest(count: number): TopicStats[] {
    return largest(this.#parts.topics.all(), count, (topic) => topic.log.next).map((topic) => this.#statsOf(topic));
  }

  /** See `MessageBus.totals`. */
  totals(): BusTotals {
    return {
      topics: this.#parts.topics.size,
      ...this.#parts.retention.totals,
      subscriptions: this.#parts.fanout.size,
      scheduled: this.#parts.delayed.size,
      published: this.#parts.intake.published,
      duplicates: this.#parts.dedupe.duplicates,
      forgottenKeys: this.#parts.dedupe.forgotten,
      pulled: this.#parts.queues.pulled,
      leased: this.#parts.leases.size,
      acked: this.#parts.leases.acked,
      nacked: this.#parts.leases.nacked,
      redelivered: this.#parts.queues.redelivered,
      dead: this.#parts.deadLetters.moved,
      redriven: this.#parts.redrives.count,
      delivered: this.#parts.subscriptions.delivered,
    };
  }

  #statsOf(topic: Topic): TopicStats {
    const { info, log, queue } = topic;
    this.#parts.retention.expire(topic, this.#parts.clock.now());
    return {
      name: info.name,
      ttlMs: info.ttlMs,
      createdMs: info.createdMs,
      seq: log.next,
      cursor: formatCursor(log.next, info.epoch),
      length: log.length,
      pending: queue.ahead,
      bytes: topic.bytes,
      subscribers: this.#parts.fanout.countOf(topic),
      groups: topic.groups.size - 1,
    };
  }
}
