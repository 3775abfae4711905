/**
 * Logging what was refused: the refusals that may be an attack for the operator, the rest for debugging.
 *
 * @module
 */

import { type Clock, systemClock } from "../bus/clock.ts";
import type { BusError, ErrorCode } from "../errors.ts";
import { LineLimit } from "./line_limit.ts";
import type { Log } from "../log.ts";

const SUSPICIOUS: ReadonlySet<ErrorCode> = new Set(
  ["bad_host", "bad_target", "cross_site", "host_not_allowed", "origin_not_allowed", "proxied"],
);
const LINES_PER_SECOND = 10;

/** Makes a `HandlerOptions.onRefusal` that writes at most 10 lines a second for each kind of refusal. */
export function refusalLog(log: Log, clock: Clock = systemClock): (error: BusError, addressOf: () => string) => void {
  const limits = new Map<ErrorCode, LineLimit>();
  return ({ code, message }, addressOf) => {
    const write = SUSPICIOUS.has(code) ? log.warn : log.debug;
    let limit = limits.get(code);
    if (limit === undefined) {
      const leftOut = (lines: number) => write(code, `${lines} more like this left out`, { code, lines });
      limits.set(code, limit = new LineLimit({ clock, perSecond: LINES_PER_SECOND, leftOut }));
    }
    if (!limit.admit()) return;
    const ip = addressOf();
    write(code, `${ip} ${message}`, { code, ip });
  };
}
