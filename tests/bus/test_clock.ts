/**
 * A clock that stands still until a test moves it.
 *
 * @module
 */

import { type Clock, MAX_SLEEP_MS } from "../../lib/bus/clock.ts";

interface Timer {
  readonly task: () => void;
  /** In milliseconds since the clock was made, which setting the clock doesn't change. */
  readonly dueMs: number;
}

/** Time by hand: {@linkcode TestClock.tick} passes it, {@linkcode TestClock.flush} ends a turn of the event loop. */
export class TestClock implements Clock {
  /** The delays that timers were set to, in the order they were set. */
  readonly delays: number[] = [];
  #nowMs: number;
  #elapsedMs = 0;
  #skewMs = 0;
  #timers: Timer[] = [];
  #deferred: (() => void)[] = [];

  /** Begins at the time of the example in `docs/http-api.md`. */
  constructor(nowMs: number = Date.parse("2018-03-25T13:18:38.732Z")) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  get skewMs(): number {
    return this.#skewMs;
  }

  schedule(task: () => void, delayMs: number): () => void {
    if (!(delayMs >= 0 && delayMs <= MAX_SLEEP_MS)) throw new RangeError(`A timer of ${delayMs} ms would fire at once`);
    this.delays.push(delayMs);
    const timer = { task, dueMs: this.#elapsedMs + delayMs };
    this.#timers.push(timer);
    return () => this.#timers = this.#timers.filter((other) => other !== timer);
  }

  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.length;
  }

  /** How long it is until the first of them goes off, in milliseconds; `Infinity` if none is set. */
  get nextMs(): number {
    return Math.max(Math.min(...this.#timers.map(({ dueMs }) => dueMs)) - this.#elapsedMs, 0);
  }

  /** How many tasks wait for the end of the turn. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /** Lets time pass, and runs the timers that come due on the way, each at its time. */
  tick(ms: number): void {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      const next = this.#timers.reduce<Timer | undefined>(
        (first, timer) => timer.dueMs <= endMs && !(first !== undefined && first.dueMs <= timer.dueMs) ? timer : first,
        undefined,
      );
      this.#advanceTo(next?.dueMs ?? endMs);
      if (next === undefined) return;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.task();
    }
  }

  /** Lets time pass in a program too busy to run its timers. */
  stall(ms: number): void {
    this.#advanceTo(this.#elapsedMs + ms);
  }

  /** Sets the machine's clock ahead, or back, as an administrator or NTP does: neither `now` nor timers notice. */
  set(aheadMs: number): void {
    this.#skewMs += aheadMs;
  }

  /** Ends the turn: runs what was deferred so far. What that defers waits for the next turn. */
  flush(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const task of deferred) task();
  }

  #advanceTo(elapsedMs: number): void {
    const ms = Math.max(elapsedMs - this.#elapsedMs, 0);
    this.#elapsedMs += ms;
    this.#nowMs += ms;
  }
}
