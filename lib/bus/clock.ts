/**
 * Time as an input: everything in the bus that reads or waits for time does it through a {@linkcode Clock}, so that
 * tests tick it.
 *
 * @module
 */

/** Where the bus gets its time from. */
export interface Clock {
  /** Whole milliseconds since the Unix epoch. */
  now(): number;
  /** Runs `task` once, `delayMs` from now or a little later. Doesn't keep the process alive. Returns the cancellation. */
  schedule(task: () => void, delayMs: number): () => void;
  /** Runs `task` once, when the current turn of the event loop is over and before it waits for anything new. */
  defer(task: () => void): void;
}

/** The longest sleep of `setTimeout`; a longer one would fire at once (HTML standard, timers: a signed 32-bit number). */
export const MAX_SLEEP_MS = 2 ** 31 - 1;

interface Platform {
  readonly setImmediate?: (task: () => void) => unknown;
}
const platform = globalThis as Platform;

/** The machine's clock, for Deno, Node and browsers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule(task, delayMs) {
    const timer = setTimeout(task, Math.min(delayMs, MAX_SLEEP_MS));
    // An object in Deno and Node; a number in browsers, where no timer keeps anything alive.
    (timer as { unref?(): void }).unref?.();
    return () => clearTimeout(timer);
  },
  // setTimeout would cost a millisecond or two; a browser without setImmediate pays that.
  defer: platform.setImmediate ?? ((task) => void setTimeout(task, 0)),
};
