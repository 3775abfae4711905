/**
 * How long to wait before trying again: longer each time, and not all clients at the same moment.
 *
 * @module
 */

/** Where a client gets its time and chance from; tests bring their own. */
export interface ClientClock {
  /** Milliseconds since some fixed moment. */
  now(): number;
  /** A number from 0 on and below 1. */
  random(): number;
  /** Runs `task` once, `delayMs` from now. Keeps the process alive until then. Returns the cancellation. */
  schedule(task: () => void, delayMs: number): () => void;
}

/** The machine's time and chance. */
export const machineClock: ClientClock = {
  now: () => performance.now(),
  random: () => Math.random(),
  schedule(task, delayMs) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The shortest and the longest wait of who says nothing else, in milliseconds: those of the original. */
export const DEFAULT_WAITS = { minWaitMs: 2_000, maxWaitMs: 64_000 } as const;

/** Resolves after a while, or when the signal aborts; at once if it has. */
export function pause(clock: ClientClock, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => {
    cancel();
    signal?.removeEventListener("abort", wake);
    resolve();
  };
  const cancel = clock.schedule(wake, waitMs);
  signal?.addEventListener("abort", wake);
  return promise;
}

/** The shortest and the longest wait, and chance. */
export interface BackoffOptions {
  /** The first wait, in milliseconds. */
  readonly minWaitMs: number;
  /** The wait that is not exceeded, in milliseconds. */
  readonly maxWaitMs: number;
  /** See {@linkcode ClientClock.random}. */
  readonly random: () => number;
}

/** A series of waits that double from the shortest to the longest, each cut by up to a half by chance. */
export class Backoff {
  readonly #options: BackoffOptions;
  #waitMs: number;

  /** Begins with the shortest wait. */
  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#waitMs = options.minWaitMs;
  }

  /** The next wait, in whole milliseconds. */
  next(): number {
    const { maxWaitMs, random } = this.#options;
    const waitMs = Math.min(this.#waitMs, maxWaitMs);
    this.#waitMs = Math.min(waitMs * 2, maxWaitMs);
    return Math.ceil(waitMs * (1 - random() / 2));
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#waitMs = this.#options.minWaitMs;
  }
}
