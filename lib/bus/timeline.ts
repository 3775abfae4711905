/**
 * Two times: the one that people and other machines speak of, which is set now and then, and the one that passes. What a
 * message says of itself is the former; when something is due is judged by the latter, so that nothing is due early.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** How stamps were given out from one on: at which time, as {@linkcode Clock.now} says it, and how slowly they follow it. */
interface Stretch {
  readonly fromMs: number;
  readonly atMs: number;
  readonly slowness: number;
}

/**
 * A clock that was set back has to be waited for, because no stamp may be before another one. Stamps go on meanwhile, this
 * many times slower, so that each still tells when it was given out.
 */
const SLOWNESS = 10;
/** How many stretches are remembered. */
const MAX_STRETCHES = 1000;

/** Gives out stamps, and knows when they were given out. */
export class Timeline {
  readonly #clock: Clock;
  readonly #onJump: (ms: number) => void;
  /** The newest at the end. */
  readonly #stretches: Stretch[];
  #skewMs: number;
  #newestMs: number;

  /** Begins now; `onJump` is told of each jump of the machine's clock, and how far it was, with the first stamp after it. */
  constructor(clock: Clock, onJump: (ms: number) => void = () => {}) {
    this.#clock = clock;
    this.#onJump = onJump;
    const atMs = clock.now();
    this.#skewMs = clock.skewMs;
    this.#newestMs = atMs + clock.skewMs;
    this.#stretches = [{ fromMs: this.#newestMs, atMs, slowness: 1 }];
  }

  /** The latest stamp that was given out, or that it was told of. */
  get newestMs(): number {
    return this.#newestMs;
  }

  /** Takes note of a stamp that was given out by the process before this one, or by somebody else. */
  advance(stampMs: number): void {
    if (stampMs <= this.#newestMs) return;
    this.#newestMs = stampMs;
    this.#begin(stampMs, this.#clock.now(), SLOWNESS);
  }

  /**
   * The time that something is said to be created at, `nowMs` as {@linkcode Clock.now} says it: that of the machine's
   * clock, but never before the one given out last.
   */
  stamp(nowMs: number): number {
    const { skewMs } = this.#clock;
    const { fromMs, atMs, slowness } = this.#stretches.at(-1)!;
    const wallMs = nowMs + skewMs;
    if (skewMs !== this.#skewMs) {
      this.#onJump(skewMs - this.#skewMs);
      this.#skewMs = skewMs;
      // A stamp that was given out before belongs to the time before.
      const fromMs = Math.max(wallMs, this.#newestMs + 1);
      this.#begin(fromMs, nowMs, fromMs === wallMs ? 1 : SLOWNESS);
      return this.#newestMs = fromMs;
    }
    if (slowness === 1) return this.#newestMs = Math.max(wallMs, this.#newestMs);
    const slowMs = fromMs + Math.floor((nowMs - atMs) / slowness);
    if (wallMs > slowMs) this.#begin(wallMs, nowMs, 1);
    return this.#newestMs = Math.max(wallMs, slowMs, this.#newestMs);
  }

  /** When a stamp was given out, as {@linkcode Clock.now} says the time; up to 10 ms later if it had to wait for the clock. */
  passedAt(stampMs: number): number {
    let at = this.#stretches.length - 1;
    while (at > 0 && this.#stretches[at]!.fromMs > stampMs) at--;
    const { fromMs, atMs, slowness } = this.#stretches[at]!;
    return atMs + (stampMs - fromMs) * slowness + slowness - 1;
  }

  #begin(fromMs: number, atMs: number, slowness: number): void {
    this.#stretches.push({ fromMs, atMs, slowness });
    if (this.#stretches.length > MAX_STRETCHES) this.#stretches.shift();
  }
}
