/**
 * Logging the messages that were due and could not be published.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";
import type { Observer } from "../bus/observer.ts";
import type { Log } from "../log.ts";
import { LineLimit } from "./line_limit.ts";

const LINES_PER_SECOND = 10;

/** An observer that logs every message that has to wait because it can't be published, at most 10 lines a second. */
export function postponedLog(log: Log, clock: Clock): Observer {
  const limit = new LineLimit({
    clock,
    perSecond: LINES_PER_SECOND,
    leftOut: (lines) => log.warn("postponed", `${lines} more like this left out`, { lines }),
  });
  return {
    postponed(topic, error) {
      if (!limit.admit()) return;
      const reason = error instanceof Error ? error.message : String(error);
      log.warn("postponed", `a scheduled message of ${topic} is tried again in a second: ${reason}`, { topic });
    },
  };
}
