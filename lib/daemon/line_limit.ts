/**
 * A limit on how many lines a second something may write to the log.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";

/** Lets through so many lines in each second, then says how many it held back. */
export class LineLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #leftOut: (lines: number) => void;
  #written = 0;
  #held = 0;
  #second = -1;

  /** Makes the limit; `leftOut` is called at the end of a second that had more lines, with how many. */
  constructor(options: { clock: Clock; perSecond: number; leftOut: (lines: number) => void }) {
    this.#clock = options.clock;
    this.#perSecond = options.perSecond;
    this.#leftOut = options.leftOut;
  }

  /** Whether one more line may be written. */
  admit(): boolean {
    const nowMs = this.#clock.now();
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#written = 0;
    }
    if (this.#written < this.#perSecond) {
      this.#written++;
      return true;
    }
    if (this.#held++ === 0) this.#clock.schedule(() => this.#report(), 1000 - nowMs % 1000);
    return false;
  }

  #report(): void {
    const lines = this.#held;
    this.#held = 0;
    this.#leftOut(lines);
  }
}
