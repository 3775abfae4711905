/**
 * Trying again, ever more rarely: the platform does not tell when a socket's buffer has drained.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";

// Asking costs little, but a thousand sockets that are stuck must not be asked all the time.
const MIN_WAIT_MS = 2;
const MAX_WAIT_MS = 256;

/** Calls a function after waits that double from 2 ms to 256 ms. */
export class Retry {
  readonly #clock: Clock;
  readonly #go: () => void;
  #waitMs = MIN_WAIT_MS;
  #cancel: (() => void) | undefined;

  /** Calls nothing yet. */
  constructor(clock: Clock, go: () => void) {
    this.#clock = clock;
    this.#go = go;
  }

  /** Whether the function is about to be called. */
  get isPending(): boolean {
    return this.#cancel !== undefined;
  }

  /** Has the function called after the next wait, once. */
  again(): void {
    this.cancel();
    this.#cancel = this.#clock.schedule(() => {
      this.#cancel = undefined;
      this.#go();
    }, this.#waitMs);
    this.#waitMs = Math.min(2 * this.#waitMs, MAX_WAIT_MS);
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#waitMs = MIN_WAIT_MS;
  }

  /** Does not call the function. */
  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
