/**
 * Logging that the machine's clock was set.
 *
 * @module
 */

import type { Observer } from "../bus/observer.ts";
import type { Log } from "../log.ts";

/** An observer that logs each jump of the machine's clock. */
export function clockLog(log: Log): Observer {
  return {
    clockSet(ms) {
      const which = ms > 0 ? "ahead" : "back";
      log.warn(
        "clock_jump",
        `the clock was set ${which} by ${Math.abs(ms) / 1000} s; nothing is due earlier or later`,
        {
          ms,
        },
      );
    },
  };
}
