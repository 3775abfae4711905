/**
 * Logging the subscribers that were detached because they read nothing.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";
import type { Observer } from "../bus/observer.ts";
import type { Log } from "../log.ts";
import { LineLimit } from "./line_limit.ts";

const LINES_PER_SECOND = 10;

/** An observer that logs every subscriber that has stalled, at most 10 lines a second. */
export function stallLog(log: Log, clock: Clock): Observer {
  const limit = new LineLimit({
    clock,
    perSecond: LINES_PER_SECOND,
    leftOut: (lines) => log.warn("stalled", `${lines} more like this left out`, { lines }),
  });
  return {
    unsubscribed({ topic, label }, reason) {
      if (reason !== "stalled" || !limit.admit()) return;
      log.warn("stalled", `${label} detached from ${topic}: it reads nothing`, { ip: label, topic });
    },
  };
}
