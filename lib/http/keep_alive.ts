/**
 * Regular signs of life on many connections, spread over time.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";

/** How often each connection is looked at, in milliseconds. */
export const KEEP_ALIVE_MS = 15_000;
// One timer for a slice of them every so often: all at once would hold up everything else.
const SLICES = 60;

/** Calls each of its members once every 15 s, from one timer, which runs while there are members. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #slices: Set<() => void>[] = Array.from({ length: SLICES }, () => new Set());
  #size = 0;
  #at = 0;
  #cancel: (() => void) | undefined;

  /** Makes one without members. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a member, which is first called in 15 s. Returns its removal, which may be called twice. */
  add(beat: () => void): () => void {
    // The slice whose turn was last.
    const slice = this.#slices[(this.#at + SLICES - 1) % SLICES]!;
    slice.add(beat);
    if (this.#size++ === 0) this.#arm();
    return () => {
      if (slice.delete(beat) && --this.#size === 0) this.#cancel?.();
    };
  }

  #arm(): void {
    this.#cancel = this.#clock.schedule(() => {
      const slice = this.#slices[this.#at]!;
      this.#at = (this.#at + 1) % SLICES;
      for (const beat of slice) beat();
      if (this.#size > 0) this.#arm();
    }, KEEP_ALIVE_MS / SLICES);
  }
}
