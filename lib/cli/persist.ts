/**
 * Waiting at a server that may go away and come back meanwhile.
 *
 * @module
 */

import { Backoff, type ClientClock, DEFAULT_WAITS, pause } from "../client/backoff.ts";
import { BusError, type ErrorCode } from "../errors.ts";
import type { Io } from "./io.ts";

/** How long to try, and who is told. */
export interface PersistOptions {
  /** When the time is up, by the clock. */
  readonly deadlineMs: number;
  /** Gives up when it aborts. */
  readonly signal?: AbortSignal;
  /** Where time and chance come from. */
  readonly clock: ClientClock;
  /** Where it is said that it tries again. */
  readonly io: Pick<Io, "say">;
}

// What a server that restarts may answer, or not, or one that waits for room.
const MAY_PASS: readonly ErrorCode[] = ["unreachable", "disk_full", "draining", "overloaded", "too_many_leased"];

/**
 * Makes an attempt with the time that is left. If the server can't be reached, is busy or has no room on its disk, makes
 * another one after a while, the last one when the time is up. Resolves to `undefined` when it is told to give up.
 *
 * @throws {BusError} what the last attempt threw.
 */
export async function persist<T>(
  attempt: (leftMs: number) => Promise<T>,
  { deadlineMs, signal, clock, io }: PersistOptions,
): Promise<T | undefined> {
  const backoff = new Backoff({ ...DEFAULT_WAITS, random: clock.random });
  while (!signal?.aborted) {
    const begunMs = clock.now();
    try {
      return await attempt(Math.max(0, deadlineMs - begunMs));
    } catch (error) {
      if (signal?.aborted) break;
      const leftMs = deadlineMs - clock.now();
      if (!(error instanceof BusError) || !MAY_PASS.includes(error.code) || leftMs <= 0) throw error;
      // It was there.
      if (clock.now() - begunMs >= DEFAULT_WAITS.minWaitMs) backoff.reset();
      const pauseMs = Math.min(backoff.next(), Math.ceil(leftMs));
      io.say(`${error.message}; trying again in ${formatWait(pauseMs)}`);
      await pause(clock, pauseMs, signal);
    }
  }
  return undefined;
}

/** A wait in words, for example `1.3 s`. */
export function formatWait(waitMs: number): string {
  return `${(waitMs / 1000).toFixed(1)} s`;
}
