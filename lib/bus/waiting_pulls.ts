/**
 * Pulls that wait for a message, in the order in which they came.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { Clock } from "./clock.ts";

/** How long a pull waits. */
export interface WaitOptions {
  /** At most so many milliseconds. */
  readonly waitMs: number;
  /** Ends the wait when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

interface WaitingPull {
  /** Takes what there is and ends the wait with it, or with what that throws. Returns whether it ended. */
  serve(): boolean;
  /** Ends the wait with an error. */
  giveUp(reason: unknown): void;
}

/** Keeps the pulls that wait, by topic name, because they may come before their topic does. */
export class WaitingPulls {
  readonly #clock: Clock;
  readonly #byName = new Map<string, Set<WaitingPull>>();

  /** Makes an empty one. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a pull of a topic waits. */
  has(name: string): boolean {
    return this.#byName.size > 0 && this.#byName.has(name);
  }

  /**
   * Waits until `take` gives something, and resolves to that; to `undefined` when time is up. Rejects with the signal's
   * reason if it aborts, with `draining` if the bus drains.
   */
  wait<T>(name: string, take: () => T | undefined, { waitMs, signal }: WaitOptions): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    // All at once: what is taken for a pull that has left already would be lost.
    const leave = () => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
      this.#remove(name, pull);
    };
    const pull: WaitingPull = {
      serve() {
        let taken: T | undefined;
        try {
          taken = take();
        } catch (error) {
          pull.giveUp(error);
          return true;
        }
        if (taken === undefined) return false;
        leave();
        resolve(taken);
        return true;
      },
      giveUp(reason) {
        leave();
        reject(reason);
      },
    };
    const onAbort = () => pull.giveUp(signal!.reason);
    const cancel = this.#clock.schedule(() => {
      leave();
      resolve(undefined);
    }, waitMs);
    this.#add(name, pull);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Serves those who wait for a topic, as far as there is something. */
  serve(name: string): void {
    for (const pull of this.#byName.get(name) ?? []) if (!pull.serve()) return;
  }

  /** Gives all who wait for a topic what there is for them, whether or not there was something for those before. */
  serveAll(name: string): void {
    for (const pull of this.#byName.get(name) ?? []) pull.serve();
  }

  /** Ends all waiting. */
  giveUp(): void {
    const reason = new BusError("draining", "Cannot wait for a message: the bus is shutting down");
    for (const pulls of [...this.#byName.values()]) for (const pull of [...pulls]) pull.giveUp(reason);
  }

  #add(name: string, pull: WaitingPull): void {
    const pulls = this.#byName.get(name);
    if (pulls === undefined) this.#byName.set(name, new Set([pull]));
    else pulls.add(pull);
  }

  #remove(name: string, pull: WaitingPull): void {
    const pulls = this.#byName.get(name);
    if (pulls?.delete(pull) && pulls.size === 0) this.#byName.delete(name);
  }
}
