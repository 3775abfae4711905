/**
 * The topics that are gone, so that a reader who comes back can be told which of them it can't go on with.
 *
 * @module
 */

import type { TopicPattern } from "../topic_pattern.ts";
import { PatternTree } from "./pattern_tree.ts";

/** How many names are remembered. */
export const MAX_GONE_TOPICS = 4096;

/** What is remembered of topics that were gone before. */
export interface GoneBefore {
  /** When the bus, or the store that it was opened with, began, in milliseconds since the Unix epoch. */
  readonly startedMs: number;
  /** The topics, the one that went last at the end, and when the newest message of each was created. */
  readonly gone: readonly { readonly name: string; readonly newestMs: number }[];
  /** See {@linkcode GoneTopics.knownFromMs}. */
  readonly goneFromMs: number;
}

/** Remembers when the newest message of each topic was created that was deleted, or forgotten because it was idle. */
export class GoneTopics {
  /** See {@linkcode GoneBefore.startedMs}. */
  readonly startedMs: number;
  readonly #max: number;
  /** By name, the one that went last at the end. A topic of that name may have been made since. */
  readonly #newestMs = new Map<string, number>();
  #knownFromMs: number;

  /** Remembers none yet, and at most `max`. */
  constructor(startedMs: number, max: number = MAX_GONE_TOPICS) {
    this.startedMs = this.#knownFromMs = startedMs;
    this.#max = max;
  }

  /** Takes over what was remembered before; only once, in the beginning. */
  restore({ gone, goneFromMs }: Omit<GoneBefore, "startedMs">): void {
    this.#knownFromMs = Math.max(this.startedMs, goneFromMs);
    for (const { name, newestMs } of gone) this.note(name, newestMs);
  }

  /**
   * Before this time there may have been messages that nothing is known of: the bus had not begun, or the topic has been
   * gone for so long that it isn't remembered.
   */
  get knownFromMs(): number {
    return this.#knownFromMs;
  }

  /** Notes that a topic is gone, the newest message of which was created at `newestMs`. */
  note(name: string, newestMs: number): void {
    if (newestMs < this.#knownFromMs) return;
    this.#newestMs.delete(name);
    this.#newestMs.set(name, newestMs);
    if (this.#newestMs.size <= this.#max) return;
    const [oldest, oldestMs] = this.#newestMs.entries().next().value!;
    this.#newestMs.delete(oldest);
    this.#knownFromMs = Math.max(this.#knownFromMs, oldestMs + 1);
  }

  /** Whether a topic of this name that is gone has, or may have, had messages created at or after a time. */
  hasLost(name: string, createdMs: number): boolean {
    return createdMs < this.#knownFromMs || (this.#newestMs.get(name) ?? -Infinity) >= createdMs;
  }

  /**
   * The topics of a pattern that are gone and had messages created at or after a time, in the order in which they went;
   * the pattern itself, for all of them, if that can't be known.
   */
  lostSince(pattern: TopicPattern, createdMs: number): string[] {
    if (createdMs < this.#knownFromMs) return [pattern.text];
    const wanted = PatternTree.of(pattern.items);
    const names: string[] = [];
    for (const [name, newestMs] of this.#newestMs) {
      if (newestMs >= createdMs && wanted.matches(name)) names.push(name);
    }
    return names;
  }
}
