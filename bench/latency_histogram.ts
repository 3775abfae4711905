/**
 * How long many things took, without keeping each.
 *
 * @module
 */

const STEPS_PER_DOUBLING = 32;
const DOUBLINGS = 27;
const US_PER_MS = 1000;

/** Counts times from a microsecond to two minutes in classes whose bounds are 2 % apart. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(STEPS_PER_DOUBLING * DOUBLINGS);
  #count = 0;
  #mostMs = 0;

  /** Counts one. */
  record(ms: number): void {
    const at = Math.ceil(Math.log2(Math.max(1, ms * US_PER_MS)) * STEPS_PER_DOUBLING);
    this.#counts[Math.min(at, this.#counts.length - 1)]!++;
    this.#count++;
    if (ms > this.#mostMs) this.#mostMs = ms;
  }

  /** What this share of them didn't exceed, in milliseconds, at most 2 % too much; `NaN` if there is none. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(this.#count * share));
    if (left > this.#count) return NaN;
    const at = this.#counts.findIndex((count) => (left -= count) <= 0);
    return Math.min(this.#mostMs, 2 ** (at / STEPS_PER_DOUBLING) / US_PER_MS);
  }
}
