/**
 * A lease that is extended for as long as its message is worked on.
 *
 * @module
 */

import type { ClientClock } from "./backoff.ts";
import type { Verdict } from "./settler.ts";
import { LeaseLost } from "./work.ts";

/** What a {@linkcode KeptLease} works with. */
export interface KeptLeaseOptions {
  /** How long the lease lasts from each extension, in milliseconds. */
  readonly leaseMs: number;
  /** Where time comes from. */
  readonly clock: ClientClock;
  /** Asks for an extension; see {@linkcode Settler.settle}. Doesn't reject. */
  readonly extend: () => Promise<Verdict | undefined>;
  /** Called once, when somebody else may have the message. */
  readonly onLost: () => void;
}

/** Extends a lease each time a third of it has passed. */
export class KeptLease {
  readonly #options: KeptLeaseOptions;
  readonly #stop = new AbortController();
  #endMs = 0;
  #isReleased = false;
  #isUnknown = false;
  #cancelEnd = () => {};
  #cancelExtension = () => {};

  /** Begins when the server has answered, which is now. */
  constructor(options: KeptLeaseOptions) {
    this.#options = options;
    this.#begin(options.clock.now());
  }

  /** Aborts when the lease is lost; see {@linkcode WorkContext.signal}. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** When it ends unless it is extended, by the clock. */
  get endMs(): number {
    return this.#endMs;
  }

  /** Whether the server has said that the lease is none any more. */
  get isUnknown(): boolean {
    return this.#isUnknown;
  }

  /** Extends it no more. */
  release(): void {
    this.#isReleased = true;
    this.#cancelEnd();
    this.#cancelExtension();
  }

  /** Aborts the signal, whether or not the lease is lost. */
  abort(reason: Error): void {
    this.#stop.abort(reason);
  }

  #begin(sinceMs: number): void {
    const { leaseMs, clock } = this.#options;
    const nowMs = clock.now();
    this.#endMs = sinceMs + leaseMs;
    this.#cancelEnd();
    this.#cancelEnd = clock.schedule(() => {
      this.#lose("the lease has ended, and the server could not be asked for more time");
    }, Math.max(0, this.#endMs - nowMs));
    this.#cancelExtension = clock.schedule(() => void this.#extend(), Math.max(0, sinceMs + leaseMs / 3 - nowMs));
  }

  async #extend(): Promise<void> {
    const verdict = await this.#options.extend();
    if (this.#isReleased || verdict === undefined) return;
    // Not since the answer: the server counts from when it is asked.
    if (verdict.isDone) return this.#begin(verdict.askedMs);
    this.#isUnknown = true;
    this.#cancelEnd();
    this.#lose("the server has given the message to somebody else, or has it no more");
  }

  #lose(why: string): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new LeaseLost(`Lost the lease: ${why}`));
    this.#options.onLost();
  }
}
