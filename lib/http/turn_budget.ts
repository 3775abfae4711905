/**
 * How much is encoded in one turn of the event loop, for all readers together: a hundred of them that replay a full topic
 * from a hundred places must not hold up everybody else.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";

/** What is encoded in a turn, in bytes, before the rest waits for the next one. */
export const TURN_BYTES = 1024 * 1024;

/** Counts what was encoded in this turn, and calls those who had to wait, in their order, in the next ones. */
export class TurnBudget {
  readonly #clock: Clock;
  #spentBytes = 0;
  #waiting: (() => void)[] = [];
  #armed = false;

  /** Makes one of which nothing is spent. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether nothing more should be encoded in this turn. */
  get isSpent(): boolean {
    return this.#spentBytes >= TURN_BYTES;
  }

  /** Notes that so many bytes were encoded. What many readers share is encoded once. */
  spend(bytes: number): void {
    this.#spentBytes += bytes;
    this.#arm();
  }

  /** Calls `go` in one of the next turns. */
  wait(go: () => void): void {
    this.#waiting.push(go);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.defer(() => {
      this.#armed = false;
      this.#spentBytes = 0;
      const waiting = this.#waiting;
      this.#waiting = [];
      let at = 0;
      while (at < waiting.length && !this.isSpent) waiting[at++]!();
      // Before those who have come back meanwhile.
      this.#waiting = [...waiting.slice(at), ...this.#waiting];
      if (this.#waiting.length > 0) this.#arm();
    });
  }
}
