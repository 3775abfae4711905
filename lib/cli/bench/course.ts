/**
 * How far a benchmark goes, and how fast.
 *
 * @module
 */

import type { ClientClock } from "../../client/backoff.ts";

/** See {@linkcode Course}. */
export interface CourseOptions {
  /** After how many milliseconds it ends. */
  readonly timeMs: number;
  /** After how many messages it ends. Default: none. */
  readonly count?: number;
  /** How many messages a second it allows. Default: as many as can be. */
  readonly rate?: number;
  /** Ends it when it aborts. */
  readonly signal: AbortSignal;
  /** Where time comes from. */
  readonly clock: ClientClock;
}

/** How late a timer may be of itself, and not because the program or the bus is behind. */
export const TIMER_MS = 2;

/** Hands out messages to those who do the work, until the time or the messages are used up. */
export class Course implements Disposable {
  readonly #options: CourseOptions;
  readonly #end = new AbortController();
  #startMs: number | undefined;
  #cancel = () => {};
  #claimed = 0;

  /** Doesn't begin yet: there may be something to prepare. */
  constructor(options: CourseOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", this.stop);
    if (options.signal.aborted) this.stop();
  }

  /** Aborts at the end of the time, an interruption, or {@linkcode Course.stop}. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** How long it has gone; 0 before it began. */
  get elapsedMs(): number {
    return this.#startMs === undefined ? 0 : this.#options.clock.now() - this.#startMs;
  }

  /** After how many messages it ends. */
  get count(): number {
    return this.#options.count ?? Infinity;
  }

  /** How many messages a second it allows. */
  get rate(): number {
    return this.#options.rate ?? Infinity;
  }

  /** How much is behind it, from 0 to 1. */
  get fraction(): number {
    return Math.min(1, Math.max(this.elapsedMs / this.#options.timeMs, this.#claimed / this.count));
  }

  /** Begins: from now on the time counts. */
  begin(): void {
    const { clock, timeMs } = this.#options;
    this.#startMs = clock.now();
    this.#cancel = clock.schedule(() => this.stop(), timeMs);
  }

  /** Ends it. */
  readonly stop = (): void => this.#end.abort();

  /** Resolves to how many of `wanted` messages to go on with, when it is their time; 0 at the end. */
  async claim(wanted: number): Promise<number> {
    const claimed = Math.min(wanted, this.count - this.#claimed);
    if (claimed <= 0 || this.signal.aborted) return 0;
    const waitMs = this.#nextMs - this.elapsedMs;
    this.#claimed += claimed;
    if (waitMs > 0) await this.#sleep(waitMs);
    return this.signal.aborted ? 0 : claimed;
  }

  /**
   * Claims one message. Resolves, when it is its time or as soon after as somebody asks, to the moment at which it should
   * have gone, by {@linkcode Course.elapsedMs}; to `undefined` at the end. Who was there in time is not charged with up
   * to {@linkcode TIMER_MS} that the timer is late.
   */
  async claimOne(): Promise<number | undefined> {
    const dueMs = this.#nextMs;
    const inTime = this.elapsedMs < dueMs;
    if (await this.claim(1) === 0) return undefined;
    return inTime ? Math.min(this.elapsedMs, dueMs + TIMER_MS) : dueMs;
  }

  /** Gives back what was claimed and could not be used. */
  giveBack(count: number): void {
    this.#claimed -= count;
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#options.signal.removeEventListener("abort", this.stop);
    this.stop();
  }

  /** When the next message is due. */
  get #nextMs(): number {
    const { rate } = this.#options;
    return rate === undefined ? this.elapsedMs : this.#claimed * 1000 / rate;
  }

  #sleep(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.schedule(resolve, waitMs);
    const wake = () => {
      cancel();
      resolve();
    };
    this.signal.addEventListener("abort", wake, { once: true });
    return promise.finally(() => this.signal.removeEventListener("abort", wake));
  }
}

/** Runs workers until all are done; when one fails, the others stop, and what it threw is thrown. */
export async function together(course: Course, workers: readonly (() => Promise<void>)[]): Promise<void> {
  const ends = await Promise.allSettled(workers.map(async (work) => {
    try {
      await work();
    } catch (error) {
      course.stop();
      throw error;
    }
  }));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}
