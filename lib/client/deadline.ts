/**
 * Requests that a server must answer in time: of one that has vanished nothing else is heard for minutes, or ever.
 *
 * @module
 */

import type { ClientClock } from "./backoff.ts";
import { unreachable } from "./failure.ts";

/** What to wait for, and how long. */
export interface DeadlineOptions {
  /** The base URI of the bus. */
  readonly uri: string;
  /** Where time comes from. */
  readonly clock: ClientClock;
  /** How long there is, in milliseconds. */
  readonly timeoutMs: number;
  /** Gives up before, too. */
  readonly signal: AbortSignal;
}

/** Does something with a signal that aborts with `unreachable` when time is up, and when the outer signal does. */
export async function withDeadline<T>(
  { uri, clock, timeoutMs, signal }: DeadlineOptions,
  work: (signal: AbortSignal, commit: () => void) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const follow = () => controller.abort(signal.reason);
  const cancel = clock.schedule(() => controller.abort(unreachable(uri, new Error("timed out"))), timeoutMs);
  // From then on, only time ends it.
  const commit = () => signal.removeEventListener("abort", follow);
  if (signal.aborted) follow();
  else signal.addEventListener("abort", follow);
  try {
    return await work(controller.signal, commit);
  } finally {
    commit();
    cancel();
  }
}
