/**
 * Asking a server that may go away and come back.
 *
 * @module
 */

import { Backoff, type BackoffOptions, type ClientClock, pause } from "./backoff.ts";
import { mayPass, Refusal } from "./failure.ts";
import type { ReconnectNotice } from "./subscription.ts";

/** How long to wait, and who is told. */
export interface AttemptsOptions extends Omit<BackoffOptions, "random"> {
  /** Where time and chance come from. */
  readonly clock: ClientClock;
  /** The longest wait there may be now, in milliseconds. */
  readonly longestWaitMs: () => number;
  /** Called when the server answers, the first time and after it was away. */
  readonly onConnect: () => void;
  /** Called when it is away, before the wait. */
  readonly onReconnect: (notice: ReconnectNotice) => void;
}

/** The requests to one server. When one of them finds it away, all wait, for the same time. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #backoff: Backoff;
  /** How often the server was found away. */
  #outages = 0;
  #resumeMs = -Infinity;
  #answers = false;

  /** Asks nothing yet. */
  constructor(options: AttemptsOptions) {
    const { minWaitMs, maxWaitMs, clock } = options;
    this.#options = options;
    this.#backoff = new Backoff({ minWaitMs, maxWaitMs, random: () => clock.random() });
  }

  /** Whether the last that was heard of the server was an answer. */
  get isAnswered(): boolean {
    return this.#answers;
  }

  /**
   * Makes attempts until one doesn't find the server away; resolves to `undefined` when the signal aborts before.
   *
   * @throws What the last attempt threw, if that doesn't pass by itself.
   */
  async make<T extends object>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const waitMs = this.#resumeMs - clock.now();
      if (waitMs > 0) {
        await pause(clock, waitMs, signal);
        continue;
      }
      const outages = this.#outages;
      let answer: T;
      try {
        answer = await attempt();
      } catch (error) {
        if (signal.aborted) break;
        if (!mayPass(error)) throw error;
        // Of requests that were on their way together, the first to fail tells.
        if (outages === this.#outages) this.#noteOutage(error);
        continue;
      }
      this.#noteAnswer();
      return answer;
    }
    return undefined;
  }

  #noteAnswer(): void {
    this.#backoff.reset();
    if (this.#answers) return;
    this.#answers = true;
    this.#options.onConnect();
  }

  #noteOutage(reason: Parameters<AttemptsOptions["onReconnect"]>[0]["reason"]): void {
    const { clock, longestWaitMs, onReconnect } = this.#options;
    const askedMs = reason instanceof Refusal ? reason.retryAfterMs ?? 0 : 0;
    const longestMs = Math.ceil(longestWaitMs() * (1 - clock.random() / 2));
    const waitMs = Math.max(Math.min(this.#backoff.next(), longestMs), askedMs);
    this.#outages++;
    this.#answers = false;
    this.#resumeMs = clock.now() + waitMs;
    onReconnect({ reason, waitMs });
  }
}
