/**
 * What has left the logs, until the journal is told: not of each message, but of many at a time.
 *
 * @module
 */

import type { Dropped } from "../bus/store.ts";
import type { TopicInfo } from "../message.ts";
import { combineDrops } from "./changes.ts";

/** How long the journal may not know what has left a log, in milliseconds. */
const DROP_MS = 200;

/** What the journal is told: what has left the log of each of these topics. */
export type Drops = readonly (readonly [TopicInfo, Dropped])[];

/** Drops that the journal is not told of yet. */
export class LateDrops {
  readonly #tell: (drops: Drops) => Promise<void>;
  readonly #drops = new Map<TopicInfo, Dropped>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasEnded = false;

  /** Begins with none; `tell` tells the journal. If that rejects, they are told again with what comes later. */
  constructor(tell: (drops: Drops) => Promise<void>) {
    this.#tell = tell;
  }

  /** Adds what has left the log of a topic; the journal is told a little later. */
  add(topic: TopicInfo, dropped: Dropped): void {
    if (this.#hasEnded) return;
    const earlier = this.#drops.get(topic);
    this.#drops.set(topic, earlier === undefined ? dropped : combineDrops(earlier, dropped));
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.flush();
    }, DROP_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Leaves out a topic, which is removed with everything it has. */
  forget(topic: TopicInfo): void {
    this.#drops.delete(topic);
  }

  /** Tells the journal now: as one change, however many topics there are, for publishers need the room of those that wait. */
  flush(): void {
    if (this.#drops.size === 0) return;
    const drops = [...this.#drops];
    this.#drops.clear();
    this.#tell(drops).catch(() => {
      for (const [topic, dropped] of drops) this.add(topic, dropped);
    });
  }

  /** Takes nothing more, and tells only what it is told to. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
  }
}
