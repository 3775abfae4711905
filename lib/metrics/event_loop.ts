/**
 * How late the event loop is: everything msgbusd does waits for its turn there.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";

const PERIOD_MS = 1000;

/** Tells `lagged` once a second how many seconds later than it was due a timer ran. Keeps no process alive. */
export function watchEventLoop(clock: Clock, lagged: (seconds: number) => void): void {
  const dueMs = clock.now() + PERIOD_MS;
  clock.schedule(() => {
    // A clock that was set back must not count as a loop that is early.
    lagged(Math.max(clock.now() - dueMs, 0) / 1000);
    watchEventLoop(clock, lagged);
  }, PERIOD_MS);
}
