/**
 * A histogram: how many of the values seen were how large.
 *
 * @module
 */

import { encodeNumber, type Labels, type Sample } from "./exposition.ts";

/** Counts values in buckets. To observe one allocates nothing. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** How many values each bucket has that the one before it does not have; the last is for those over all bounds. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** Makes a histogram with these upper bounds, in ascending order. A value that equals one belongs to its bucket. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Counts a value. */
  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#sum += value;
  }

  /** What Prometheus wants of it: each bucket with all smaller ones in it, the sum, and the count. */
  samples(labels: Labels = {}): Sample[] {
    let count = 0;
    const buckets = [...this.#bounds, Infinity].map((bound, i): Sample => {
      count += this.#counts[i]!;
      return { suffix: "_bucket", labels: { ...labels, le: encodeNumber(bound) }, value: count };
    });
    return [...buckets, { suffix: "_sum", labels, value: this.#sum }, { suffix: "_count", labels, value: count }];
  }
}
