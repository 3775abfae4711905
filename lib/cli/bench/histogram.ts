/**
 * How long things took, in little memory however many there are.
 *
 * @module
 */

// Neighbouring buckets differ by this factor, so that a percentile is wrong by at most a percent.
const FACTOR = 1.01;
const SHORTEST_MS = 0.001;

/** Counts times in buckets that grow with the time. */
export class Histogram {
  readonly #counts: number[] = [];
  #count = 0;
  #maxMs = 0;

  /** How many times there are. */
  get count(): number {
    return this.#count;
  }

  /** The longest, exactly; 0 of none. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Adds a time. */
  add(ms: number): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, SHORTEST_MS) / SHORTEST_MS) / Math.log(FACTOR));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  /** The time that `percent` of all didn't exceed, to a percent of itself; 0 of none. */
  percentile(percent: number): number {
    let left = Math.ceil(this.#count * percent / 100);
    for (const [bucket, count = 0] of this.#counts.entries()) {
      left -= count;
      if (left <= 0 && count > 0) return Math.min(SHORTEST_MS * FACTOR ** bucket, this.#maxMs);
    }
    return this.#maxMs;
  }
}
