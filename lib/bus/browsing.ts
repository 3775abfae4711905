/**
 * Browsing: looking at what a topic retains, which takes nothing.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { formatCursor, type Message, parseCursor } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { type BrowseOptions, MAX_ANSWER_BYTES, type Page } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { QUEUE } from "./group.ts";
import type { Observer } from "./observer.ts";
import type { Pager } from "./pager.ts";
import type { Retention } from "./retention.ts";
import { lineLength } from "./run.ts";
import { assertSince, type Start, startOf } from "./start.ts";
import type { Topic } from "./topic.ts";
import type { TopicTable } from "./topic_table.ts";
import { WaitingPulls } from "./waiting_pulls.ts";

/** What {@linkcode Browsing} works with. */
export interface BrowsingParts {
  readonly clock: Clock;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly pager: Pager;
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
  async browse(name: string, options: BrowseOptions): Promise<Page | undefined> {
    const { waitMs = 0, signal, since = "earliest" } = options;
    signal?.throwIfAborted();
    const page = await this.#look(name, options);
    if (waitMs === 0 || isSomething(page)) return page;
    if (this.#draining) throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const topic = canonicalTopicName(name);
    // What is new then is everything from here on; `latest` would be another place by then.
    const here = page !== undefined ? parseCursor(page.next)! : since === "latest" ? { next: 0 } : since;
    const hasNew = () => this.#hasNew(topic, { ...options, since: here }) || undefined;
    await this.#waiting.wait({ topic, group: QUEUE }, hasNew, { waitMs, signal });
    return await this.#look(topic, { ...options, since: here });
  }

  async #look(name: string, options: BrowseOptions): Promise<Page | undefined> {
    const { limit = 100, maxBytes = MAX_ANSWER_BYTES, signal } = options;
    const found = this.#begin(name, options);
    if (found === undefined) return undefined;
    const { topic, start } = found;
    const { log } = topic;
    const { pager, retention, clock, observer } = this.#parts;
    /** Has what is at an id in memory, unless it leaves the log meanwhile. */
    const warm = async (id: () => number) => {
      while (log.isCold(id())) {
        await pager.load(topic, id());
        signal?.throwIfAborted();
        if (!topic.deleted) retention.expire(topic, clock.now());
      }
    };
    if (limit > 0 && log.isCold(log.idFrom(start.next))) await warm(() => log.idFrom(start.next));
    if (topic.deleted) return undefined;
    const gap = start.gap ?? topic.gapAt(start.next);
    const messages: Message[] = [];
    let next = log.idFrom(start.next);
    // To the first hole: an answer can tell of one gap, before its messages.
    for (let bytes = 0; messages.length < limit; next++) {
      if (log.isCold(next)) await warm(() => next);
      const message = log.get(next);
      if (message === undefined) break;
      bytes += lineLength(message);
      if (messages.length > 0 && bytes > maxBytes) break;
      messages.push(message);
    }
    if (gap !== undefined) observer.gap?.(gap);
    return { messages, gap, next: formatCursor(next, topic.info.epoch) };
  }

  /** Whether there is something to show. */
  #hasNew(name: string, options: BrowseOptions): boolean {
    const found = this.#begin(name, options);
    if (found === undefined) return false;
    const { topic, start: { next, gap } } = found;
    return gap !== undefined || topic.gapAt(next) !== undefined || (options.limit !== 0 && next < topic.log.next);
  }

  /** The topic as it is now, and where to begin; `undefined` if it doesn't exist. */
  #begin(name: string, { since = "earliest" }: BrowseOptions): { topic: Topic; start: Start } | undefined {
    assertSince(since);
    const { topics, retention, clock } = this.#parts;
    const topic = topics.find(name);
    if (topic === undefined) return undefined;
    retention.expire(topic, clock.now());
    return { topic, start: startOf(topic, since, topics.gone) };
  }
}

function isSomething(page: Page | undefined): boolean {
  return page !== undefined && (page.messages.length > 0 || page.gap !== undefined);
}
