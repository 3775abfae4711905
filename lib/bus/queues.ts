/**
 * Reading without a subscription: the queue of each topic, which all who pull share, and browsing, which takes nothing.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { Gap } from "../event.ts";
import { formatCursor, type Message, parseCursor } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import type { Batch, BrowseOptions, BrowseWaitingOptions, Page, PullBatchOptions } from "./answers.ts";
import type { Clock } from "./clock.ts";
import type { Observer } from "./observer.ts";
import type { Retention } from "./retention.ts";
import { lineLength } from "./run.ts";
import { assertSince, startOf } from "./start.ts";
import type { Store } from "./store.ts";
import type { TopicTable } from "./topic_table.ts";
import { WaitingPulls, type WaitOptions } from "./waiting_pulls.ts";

/** What {@linkcode Queues} work with. */
export interface QueuesParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
}

/** What was taken of a queue; `noted` settles when the store has learnt of that. */
interface Taken extends Batch {
  readonly noted: void | Promise<void>;
}

function isSomething(page: Page | undefined): boolean {
  return page !== undefined && (page.messages.length > 0 || page.gap !== undefined);
}

const ONE_MESSAGE: PullBatchOptions = { limit: 1 };
const NO_MESSAGE: PullBatchOptions = { limit: 0 };
/** What is given at once, in bytes of envelopes with a line end each. */
const MAX_BATCH_BYTES = 8 * 1024 ** 2;

/** Hands out what is next in the queues of topics. */
export class Queues {
  readonly #parts: QueuesParts;
  readonly #waiting: WaitingPulls;
  readonly #browsing: WaitingPulls;
  #draining = false;
  #pulled = 0;

  /** Makes one that has handed out nothing. */
  constructor(parts: QueuesParts) {
    this.#parts = parts;
    this.#waiting = new WaitingPulls(parts.clock);
    this.#browsing = new WaitingPulls(parts.clock);
  }

  /** How many messages were handed out. */
  get pulled(): number {
    return this.#pulled;
  }

  /** Whether somebody waits for a message of the topic of this name. */
  isAwaited(name: string): boolean {
    return this.#waiting.has(name) || this.#browsing.has(name);
  }

  /** Serves those who wait for the topic of this name, as far as there is something. */
  serve(name: string): void {
    // These first: they take nothing.
    this.#browsing.serveAll(name);
    this.#waiting.serve(name);
  }

  /** Ends all waiting, and refuses further waiting with `draining`. */
  drain(): void {
    this.#draining = true;
    this.#waiting.giveUp();
    this.#browsing.giveUp();
  }

  /** See `MessageBus.get`. The store must be synchronous. */
  get(name: string): Message | undefined {
    return this.#take(name, ONE_MESSAGE).messages[0];
  }

  /** See `MessageBus.pullBatch`; `assertOpen` throws if the bus may not be used any more. */
  async pullBatch(name: string, options: PullBatchOptions, assertOpen: () => void): Promise<Batch> {
    assertOpen();
    const { waitMs = 0, signal } = options;
    signal?.throwIfAborted();
    // Nothing is taken for who waits, no gap either: it may give up. Who comes later is not served before who waits.
    const taken = waitMs > 0 && (this.#waiting.has(canonicalTopicName(name)) || !this.#hasNext(name))
      ? await this.#takeLater(name, options, { waitMs, signal })
      : this.#take(name, options);
    const { messages, gap, noted } = taken;
    if (noted !== undefined) await noted;
    return { messages, gap };
  }

  /** See `MessageBus.browse`. */
  browse(name: string, options: BrowseOptions): Page | undefined {
    const { since = "earliest", limit = 100, maxBytes = MAX_BATCH_BYTES } = options;
    assertSince(since);
    const topic = this.#parts.topics.find(name);
    if (topic === undefined) return undefined;
    this.#parts.retention.expire(topic, this.#parts.clock.now());
    const start = startOf(topic, since, this.#parts.topics.gone);
    const gap = start.gap ?? topic.gapAt(start.next);
    const messages: Message[] = [];
    let next = topic.log.idFrom(start.next);
    // To the first hole: an answer can tell of one gap, before its messages.
    for (let bytes = 0; messages.length < limit; next++) {
      const message = topic.log.get(next);
      if (message === undefined) break;
      bytes += lineLength(message);
      if (messages.length > 0 && bytes > maxBytes) break;
      messages.push(message);
    }
    if (gap !== undefined) this.#parts.observer.gap?.(gap);
    return { messages, gap, next: formatCursor(next, topic.info.epoch) };
  }

  /** See `MessageBus.browseWaiting`. */
  async browseWaiting(name: string, options: BrowseWaitingOptions): Promise<Page | undefined> {
    const { waitMs, signal } = options;
    signal?.throwIfAborted();
    const page = this.browse(name, options);
    if (isSomething(page)) return page;
    if (this.#draining) throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const canonical = canonicalTopicName(name);
    // What is new then is everything from here on; `latest` would be another place by then.
    const here = page !== undefined ? parseCursor(page.next) : options.since === "latest" ? { next: 0 } : options.since;
    const look = () => {
      const page = this.browse(canonical, { ...options, since: here });
      return isSomething(page) ? page : undefined;
    };
    const found = await this.#browsing.wait(canonical, look, { waitMs, signal });
    return found ?? this.browse(canonical, { ...options, since: here });
  }

  async #takeLater(topic: string, options: PullBatchOptions, wait: WaitOptions): Promise<Taken> {
    if (this.#draining) throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const name = canonicalTopicName(topic);
    const take = () => this.#hasNext(name) ? this.#take(name, options) : undefined;
    return await this.#waiting.wait(name, take, wait) ?? this.#take(name, NO_MESSAGE);
  }

  /** Whether there is something next in a topic's queue. */
  #hasNext(name: string): boolean {
    const topic = this.#parts.topics.find(name);
    if (topic === undefined) return false;
    topic.usedMs = this.#parts.clock.now();
    this.#parts.retention.expire(topic, topic.usedMs);
    return topic.queue.peek(topic.log) !== undefined;
  }

  /** Takes what is next in a topic's queue, and tells the store. */
  #take(name: string, { limit = 100, maxBytes = MAX_BATCH_BYTES }: PullBatchOptions): Taken {
    const topic = this.#parts.topics.find(name);
    const messages: Message[] = [];
    let gap: Gap | undefined;
    if (topic !== undefined) {
      topic.usedMs = this.#parts.clock.now();
      this.#parts.retention.expire(topic, topic.usedMs);
      gap = this.#parts.retention.skip(topic);
      for (let bytes = 0; messages.length < limit;) {
        const next = topic.queue.peek(topic.log);
        // What is gone between two messages the next pull is told.
        if (next === undefined || next.id !== topic.queue.next) break;
        if (limit > 1 && (bytes += lineLength(next)) > maxBytes && messages.length > 0) break;
        const message = this.#parts.retention.take(topic)!;
        messages.push(message);
        this.#pulled++;
        this.#parts.observer.pulled?.(topic.info.name, message);
      }
    }
    if (messages.length === 0) this.#parts.observer.pulled?.(topic?.info.name ?? canonicalTopicName(name), undefined);
    if (gap !== undefined) this.#parts.observer.gap?.(gap);
    const last = messages.at(-1);
    // At once, so that it learns of pulls in their order; unless it is being asked to remove the topic with everything.
    const note = last !== undefined && topic!.removal === undefined;
    const noted = note ? this.#parts.store.advance(topic!.info, last.seq) : undefined;
    return { messages, gap, noted };
  }
}
