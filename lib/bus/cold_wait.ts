/**
 * The wait of a subscription for messages that are not in memory.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { Pager } from "./pager.ts";
import type { Topic } from "./topic.ts";

/** What a {@linkcode ColdWait} works with. */
export interface ColdWaitHost {
  readonly clock: Clock;
  readonly pager: Pager;
}

/** How long after a failed read it is tried again, in milliseconds. */
const RETRY_MS = 1000;

/**
 * Waits for one message to be loaded. A read that fails is tried again a second later: the reader has done nothing wrong,
 * its cursor stays, and a disk that recovers needs nobody to come again.
 */
export class ColdWait {
  readonly #host: ColdWaitHost;
  readonly #onLoaded: () => void;
  /** The wait that has not ended. */
  #wait: symbol | undefined;
  #cancel: (() => void) | undefined;

  /** Makes one that doesn't wait. */
  constructor(host: ColdWaitHost, onLoaded: () => void) {
    this.#host = host;
    this.#onLoaded = onLoaded;
  }

  /** Whether it waits. */
  get isWaiting(): boolean {
    return this.#wait !== undefined;
  }

  /** Begins to wait for a retained message, unless it waits already. */
  begin(topic: Topic, id: number): void {
    if (this.isWaiting) return;
    const wait = this.#wait = Symbol();
    const done = () => {
      // It may have been ended, and begun again, meanwhile.
      if (this.#wait !== wait) return;
      this.end();
      this.#onLoaded();
    };
    this.#host.pager.load(topic, id).then(done, () => {
      if (this.#wait === wait) this.#cancel = this.#host.clock.schedule(done, RETRY_MS);
    });
  }

  /** Stops waiting; nobody is told. */
  end(): void {
    this.#wait = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
