/**
 * Results of work on their way to the server: together in a request, and again until they have arrived.
 *
 * @module
 */

import type { Settlement } from "../bus/answers.ts";
import type { Attempts } from "./attempts.ts";
import type { ClientClock } from "./backoff.ts";
import { MAX_TOKENS } from "./groups.ts";

/** What the server says of a lease. */
export interface Verdict {
  /** Whether it is done. */
  readonly isDone: boolean;
  /** Whether it was asked before, without an answer: what was done then is unknown now. */
  readonly isRepeated: boolean;
  /** When it was asked, by the clock. */
  readonly askedMs: number;
}

/** What a {@linkcode Settler} works with. */
export interface SettlerOptions {
  /** Asks the server, once. */
  readonly send: (path: string, tokens: readonly string[]) => Promise<Settlement>;
  /** Asks again. */
  readonly attempts: Attempts;
  /** Where time comes from. */
  readonly clock: ClientClock;
  /** Gives up when it aborts. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly token: string;
  readonly resolve: (verdict: Verdict | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Settles leases. For each path there is one request at a time; what is ready meanwhile goes in the next, together. */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #queues = new Map<string, Waiting[]>();

  /** Asks nothing yet. */
  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /**
   * Settles a lease, in as many attempts as it takes. Resolves to `undefined` if the signal has aborted before.
   *
   * @throws What the server refuses for good.
   */
  settle(path: string, token: string): Promise<Verdict | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Verdict | undefined>();
    const waiting = { token, resolve, reject };
    const queue = this.#queues.get(path);
    if (queue === undefined) {
      this.#queues.set(path, [waiting]);
      void this.#work(path);
    } else queue.push(waiting);
    return promise;
  }

  async #work(path: string): Promise<void> {
    const queue = this.#queues.get(path)!;
    // Those that end in the same turn go together.
    await Promise.resolve();
    while (queue.length > 0) await this.#ask(path, queue.splice(0, MAX_TOKENS));
    this.#queues.delete(path);
  }

  async #ask(path: string, batch: readonly Waiting[]): Promise<void> {
    const { send, attempts, clock, signal } = this.#options;
    const tokens = batch.map(({ token }) => token);
    let asked = 0;
    let askedMs = 0;
    try {
      const settlement = await attempts.make(() => {
        asked++;
        askedMs = clock.now();
        return send(path, tokens);
      }, signal);
      const done = new Set(settlement?.done);
      for (const { token, resolve } of batch) {
        resolve(settlement && { isDone: done.has(token), isRepeated: asked > 1, askedMs });
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
