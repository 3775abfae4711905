/**
 * Browsing: looking at what a topic retains, which takes nothing.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { formatCursor, type Message, parseCursor } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { type BrowseOptions, type BrowseWaitingOptions, MAX_ANSWER_BYTES, type Page } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { QUEUE } from "./group.ts";
import type { Observer } from "./observer.ts";
import type { Retention } from "./retention.ts";
import { lineLength } from "./run.ts";
import { assertSince, startOf } from "./start.ts";
import type { TopicTable } from "./topic_table.ts";
import { WaitingPulls } from "./waiting_pulls.ts";

/** What {@linkcode Browsing} works with. */
export interface BrowsingParts {
  readonly clock: Clock;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
}

/** Shows what is in topics, and what comes. */
export class Browsing {
  readonly #parts: BrowsingParts;
  readonly #waiting: WaitingPulls;
  #draining = false;

  /** Makes one that nobody waits for. */
  constructor(parts: BrowsingParts) {
    this.#parts = parts;
    this.#waiting = new WaitingPulls(parts.clock);
  }

  /** Whether somebody waits to see a message of the topic of this name. */
  isAwaited(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** Shows those who wait for the topic of this name what is new. */
  serve(name: string): void {
    this.#waiting.serveAll(name);
  }

  /** Ends all waiting, and refuses further waiting with `draining`. */
  drain(): void {
    this.#draining = true;
    this.#waiting.giveUp();
  }

  /** See `MessageBus.browse`. */
  browse(name: string, options: BrowseOptions): Page | undefined {
    const { since = "earliest", limit = 100, maxBytes = MAX_ANSWER_BYTES } = options;
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
    const found = await this.#waiting.wait({ topic: canonical, group: QUEUE }, look, { waitMs, signal });
    return found ?? this.browse(canonical, { ...options, since: here });
  }
}

function isSomething(page: Page | undefined): boolean {
  return page !== undefined && (page.messages.length > 0 || page.gap !== undefined);
}
