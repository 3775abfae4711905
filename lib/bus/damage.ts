/**
 * What of a topic was damaged where the store keeps it.
 *
 * @module
 */

import { search } from "./segment.ts";

/** Damaged messages with consecutive ids. */
interface DamagedRange {
  from: number;
  to: number;
  /** When the newest was created, in milliseconds since the Unix epoch. */
  newestMs: number;
}

/** Remembers which messages were lost because they were damaged, so that readers are told so. */
export class Damage {
  /** In the order of their ids; no two touch each other. */
  readonly #ranges: DamagedRange[] = [];

  /** Takes note of one more. */
  add(id: number, createdMs: number): void {
    const ranges = this.#ranges;
    const at = this.#indexFrom(id);
    const [left, right] = [ranges[at - 1], ranges[at]];
    const [isAfter, isBefore] = [left?.to === id - 1, right?.from === id + 1];
    if (isAfter) {
      left!.to = isBefore ? right!.to : id;
      left!.newestMs = isBefore ? right!.newestMs : createdMs;
      if (isBefore) ranges.splice(at, 1);
    } else if (isBefore) right!.from = id;
    else ranges.splice(at, 0, { from: id, to: id, newestMs: createdMs });
  }

  /** Whether there is one with an id from `from` to before `end`, which is greater. */
  reaches(from: number, end: number): boolean {
    return this.#ranges.length > 0 && (this.#ranges[this.#indexFrom(from)]?.from ?? Infinity) < end;
  }

  /** When the newest before an id was created; `-Infinity` if there is none. */
  newestMsBefore(id: number): number {
    return this.#ranges[this.#indexFrom(id) - 1]?.newestMs ?? -Infinity;
  }

  /** The first range that ends with an id or a later one. */
  #indexFrom(id: number): number {
    return search(0, this.#ranges.length, (at) => this.#ranges[at]!.to < id);
  }
}
