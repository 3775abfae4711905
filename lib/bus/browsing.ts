/**
 * Browsing: looking at what a topic retains, which takes nothing.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { formatCursor, type Message, type Position } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { type BrowseOptions, MAX_ANSWER_BYTES, type Page } from "./answers.ts";
import type { Since } from "../wire/since.ts";
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
    const { waitMs = 0, signal, limit = 100, since = "earliest" } = options;
    signal?.throwIfAborted();
    const place = this.#find(name, since);
    if (waitMs === 0 || (place !== undefined && hasSome(place, limit))) return await this.#look(place, options);
    if (this.#draining) throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const topic = canonicalTopicName(name);
    // What is new then is everything from here on; `latest` would be another place by then.
    const here = place !== undefined ? positionOf(place) : since === "latest" ? { next: 0 } : since;
    const look = () => {
      const found = this.#find(topic, here);
      return found !== undefined && hasSome(found, limit) ? true : undefined;
    };
    await this.#waiting.wait({ topic, group: QUEUE }, look, { waitMs, signal });
    return await this.#look(this.#find(topic, here), options);
  }

  /** Shows what is retained from a place on. */
  async #look(place: Place | undefined, options: BrowseOptions): Promise<Page | undefined> {
    if (place === undefined) return undefined;
    const { topic, topic: { log }, start } = place;
    const { limit = 100, maxBytes = MAX_ANSWER_BYTES, signal } = options;
    const { pager, retention, clock, observer } = this.#parts;
    /** Has what is at an id in memory, unless it leaves the log meanwhile. */
    const warm = async (id: () => number) => {
      while (!topic.deleted && log.isCold(id())) {
        await pager.load(topic, id());
        signal?.throwIfAborted();
        if (!topic.deleted) retention.expire(topic, clock.now());
      }
    };
    const first = () => log.idFrom(start.next);
    if (limit > 0 && log.isCold(first())) await warm(first);
    if (topic.deleted) return undefined;
    const gap = start.gap ?? topic.gapAt(start.next);
    const messages: Message[] = [];
    let next = first();
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

  /** Where to begin in a topic as it is now; `undefined` if it doesn't exist. */
  #find(name: string, since: Since): Place | undefined {
    assertSince(since);
    const { topics, retention, clock } = this.#parts;
    const topic = topics.find(name);
    if (topic === undefined) return undefined;
    retention.expire(topic, clock.now());
    return { topic, start: startOf(topic, since, topics.gone) };
  }
}

/** A place in a topic. */
interface Place {
  readonly topic: Topic;
  readonly start: Start;
}

function positionOf({ topic: { log, info: { epoch } }, start }: Place): Position {
  return { next: log.idFrom(start.next), epoch };
}

/** Whether there is something to show. */
function hasSome({ topic, start: { next, gap } }: Place, limit: number): boolean {
  return gap !== undefined || topic.gapAt(next) !== undefined || (limit > 0 && next < topic.log.next);
}
