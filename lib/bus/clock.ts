/**
 * Time as an input: everything in the bus that reads or waits for time does it through a {@linkcode Clock}, so that
 * tests tick it.
 *
 * @module
 */

/** Where the bus gets its time from. */
export interface Clock {
  /**
   * Whole milliseconds since the Unix epoch, as the machine's clock said once, and the time that has passed since. It
   * doesn't jump when that clock is set.
   */
  now(): number;
  /** How far the machine's clock is ahead of {@linkcode Clock.now}, as of its last call, in milliseconds. */
  readonly skewMs: number;
  /** Runs `task` once, `delayMs` from now or a little later. Doesn't keep the process alive. Returns the cancellation. */
  schedule(task: () => void, delayMs: number): () => void;
  /** Runs `task` once, when the current turn of the event loop is over and before it waits for anything new. */
  defer(task: () => void): void;
}

/** What people call the time: that of the machine's clock, in whole milliseconds since the Unix epoch. */
export function wallOf(clock: Clock): number {
  return clock.now() + clock.skewMs;
}

/** The longest sleep of `setTimeout`; a longer one would fire at once (HTML standard, timers: a signed 32-bit number). */
export const MAX_SLEEP_MS = 2 ** 31 - 1;

interface Platform {
  readonly setImmediate?: (task: () => void) => unknown;
}
const platform = globalThis as Platform;

/** What a {@linkcode SteadyClock} looks at, in milliseconds. */
export interface TimeSources {
  /** The machine's clock, since the Unix epoch, whole; somebody may set it. */
  wall(): number;
  /** A clock that nobody sets, since whenever. */
  monotonic(): number;
}

/** How far the two may drift apart between two looks before that counts as a jump: clocks are trimmed all the time. */
const TOLERANCE_MS = 1000;

/**
 * Time that doesn't jump. The machine's clock is what is read, because that is cheap; only where it has gone back, or
 * ahead by more than a second since it was read last, the other one is asked whether that time has passed.
 */
export class SteadyClock implements Clock {
  readonly #sources: TimeSources;
  #skewMs = 0;
  #lastMs: number;
  /** What both said when they were compared last. */
  #wallMs: number;
  #monotonicMs: number;

  /** Begins with what the machine's clock says. */
  constructor(sources: TimeSources = { wall: () => Date.now(), monotonic: () => performance.now() }) {
    this.#sources = sources;
    this.#lastMs = this.#wallMs = sources.wall();
    this.#monotonicMs = sources.monotonic();
  }

  get skewMs(): number {
    return this.#skewMs;
  }

  now(): number {
    const wallMs = this.#sources.wall();
    if (wallMs < this.#lastMs || wallMs > this.#lastMs + TOLERANCE_MS) this.#compare(wallMs);
    this.#lastMs = wallMs;
    return wallMs - this.#skewMs;
  }

  schedule(task: () => void, delayMs: number): () => void {
    const timer = setTimeout(task, Math.min(delayMs, MAX_SLEEP_MS));
    // An object in Deno and Node; a number in browsers, where no timer keeps anything alive.
    (timer as { unref?(): void }).unref?.();
    return () => clearTimeout(timer);
  }

  defer(task: () => void): void {
    defer(task);
  }

  #compare(wallMs: number): void {
    const monotonicMs = this.#sources.monotonic();
    const driftMs = wallMs - this.#wallMs - (monotonicMs - this.#monotonicMs);
    if (Math.abs(driftMs) > TOLERANCE_MS) this.#skewMs += Math.round(driftMs);
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }
}

// setTimeout would cost a millisecond or two; a browser without setImmediate pays that.
const defer = platform.setImmediate ?? ((task: () => void) => void setTimeout(task, 0));

/** The machine's clock, for Deno, Node and browsers. */
export const systemClock: Clock = new SteadyClock();
