/**
 * What has left the logs, until the store is told.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { DropReason } from "./observer.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import type { Store } from "./store.ts";
import type { Topic } from "./topic.ts";

/** What {@linkcode UntoldDrops} work with. */
export interface UntoldDropsParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly store: Store;
}

/** How long to gather, in milliseconds: what is told late costs disk, what is told often costs time. */
const GATHER_MS = 100;

/** Gathers what leaves each log, and tells the store now and then: nobody waits for its disk to be used again. */
export class UntoldDrops {
  readonly #parts: UntoldDropsParts;
  /** What has left from behind others, by topic. */
  readonly #byTopic = new Map<Topic, number[]>();
  #appointment: Appointment | undefined;

  /** Makes one of a store that has been told of everything. */
  constructor(parts: UntoldDropsParts) {
    this.#parts = parts;
  }

  /** A retained message is about to leave its log. */
  note(topic: Topic, id: number, reason: DropReason): void {
    // A store knows itself what it couldn't read, and what it took out in the step in which it was published again.
    const isKnown = id === topic.log.first || reason === "redriven" || reason === "damaged";
    const ids = this.#byTopic.get(topic);
    if (ids !== undefined) {
      if (!isKnown) ids.push(id);
      return;
    }
    this.#byTopic.set(topic, isKnown ? [] : [id]);
    if (this.#byTopic.size === 1) this.#comeBack();
  }

  /** Tells the store everything now. */
  tell(): void {
    for (const [topic, ids] of this.#byTopic) {
      const { info, log, limitLost: limit } = topic;
      // The store may refuse the removal; until that is known nothing is told of what it is removing.
      if (topic.removal !== undefined) continue;
      this.#byTopic.delete(topic);
      if (topic.deleted) continue;
      const others = ids.filter((id) => id >= log.first).sort((a, b) => a - b);
      this.#parts.store.drop(info, { before: log.first, ids: others, lostMs: log.lostBefore(log.first), limit });
    }
  }

  #comeBack(): void {
    const { clock, schedule } = this.#parts;
    const atMs = clock.now() + GATHER_MS;
    if (this.#appointment !== undefined) return schedule.move(this.#appointment, atMs);
    const due = (nowMs: number) => {
      this.tell();
      return this.#byTopic.size > 0 ? nowMs + GATHER_MS : Infinity;
    };
    this.#appointment = schedule.add({ due }, atMs);
  }
}
