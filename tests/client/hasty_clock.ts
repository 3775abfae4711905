/**
 * Time for tests of the client.
 *
 * @module
 */

import { type ClientClock, machineClock } from "../../lib/client/backoff.ts";

/** Of connecting, and between probes. */
export const WATCHDOG_MS = 30_000;

/** Waits as long as it takes for a turn of the event loop, and never for a watchdog. */
export const hasty: ClientClock = {
  now: () => 0,
  random: () => 0,
  schedule: (task, delayMs) => delayMs === WATCHDOG_MS ? () => {} : machineClock.schedule(task, 0),
};
