/**
 * Sets of ids that lie together.
 *
 * @module
 */

/** Ids as ranges: as many as there are gaps between them, however many ids there are. */
export class IdRanges {
  /** Where each range begins, and the id behind it, in rising order; no two of them touch. */
  #bounds: number[] = [];

  /** How many ranges there are. */
  get count(): number {
    return this.#bounds.length / 2;
  }

  /** The ranges: the first id of each, and the id behind its last one. */
  *[Symbol.iterator](): IterableIterator<readonly [number, number]> {
    for (let at = 0; at < this.#bounds.length; at += 2) yield [this.#bounds[at]!, this.#bounds[at + 1]!];
  }

  /** Adds ranges, which are in rising order, like those that it has. */
  add(ranges: readonly (readonly [number, number])[]): void {
    if (ranges.length === 0) return;
    const bounds = this.#bounds;
    // Those that begin before the end of what is added, and end after its beginning, touching included.
    const from = this.#rangeEndingAt(ranges[0]![0]);
    const to = this.#rangeStartingAfter(ranges.at(-1)![1]);
    const merged: number[] = [];
    const put = (start: number, end: number) => {
      if (merged.length > 0 && start <= merged.at(-1)!) merged[merged.length - 1] = Math.max(merged.at(-1)!, end);
      else merged.push(start, end);
    };
    let at = from;
    for (const [start, end] of ranges) {
      for (; at < to && bounds[at]! <= start; at += 2) put(bounds[at]!, bounds[at + 1]!);
      put(start, end);
    }
    for (; at < to; at += 2) put(bounds[at]!, bounds[at + 1]!);
    if (from === bounds.length) { for (const bound of merged) bounds.push(bound); }
    else if (merged.length < 1000) bounds.splice(from, to - from, ...merged);
    else this.#bounds = [...bounds.slice(0, from), ...merged, ...bounds.slice(to)];
  }

  /** Whether it has an id. */
  has(id: number): boolean {
    return this.covers(id, id + 1);
  }

  /** Whether it has all ids from one to before another one. */
  covers(start: number, end: number): boolean {
    if (start >= end) return true;
    const at = this.#rangeEndingAt(start + 1);
    return at < this.#bounds.length && this.#bounds[at]! <= start && end <= this.#bounds[at + 1]!;
  }

  /** The ranges that lack of those from one id to before another one. */
  missingIn(start: number, end: number): [number, number][] {
    const missing: [number, number][] = [];
    let next = start;
    for (let at = this.#rangeEndingAt(start + 1); at < this.#bounds.length && next < end; at += 2) {
      if (this.#bounds[at]! > next) missing.push([next, Math.min(end, this.#bounds[at]!)]);
      next = this.#bounds[at + 1]!;
    }
    if (next < end) missing.push([next, end]);
    return missing;
  }

  /** Forgets all ids before one. */
  cutBefore(id: number): void {
    const at = this.#rangeEndingAt(id + 1);
    if (at > 0) this.#bounds.splice(0, at);
    if (this.#bounds.length > 0 && this.#bounds[0]! < id) this.#bounds[0] = id;
  }

  /** Where the first range is that ends at `id` or later. */
  #rangeEndingAt(id: number): number {
    return this.#search((at) => this.#bounds[at + 1]! >= id);
  }

  /** Where the first range is that begins after `id`. */
  #rangeStartingAfter(id: number): number {
    return this.#search((at) => this.#bounds[at]! > id);
  }

  #search(isThere: (at: number) => boolean): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isThere(2 * middle)) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }
}

/** Ids in rising order as ranges. */
export function rangesOf(ids: Iterable<number>): [number, number][] {
  const ranges: [number, number][] = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === id) last[1]++;
    else ranges.push([id, id + 1]);
  }
  return ranges;
}
