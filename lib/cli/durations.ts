/**
 * Flags that take a duration.
 *
 * @module
 */

import { MAX_SLEEP_MS } from "../bus/clock.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import type { ValueFlag } from "./flags.ts";

// A longer sleep would end at once. In whole days, to be said in words.
const DAY_MS = 86_400_000;
const MAX_MS = Math.floor(MAX_SLEEP_MS / DAY_MS) * DAY_MS;

/** A flag that takes a duration longer than 0, in milliseconds. */
export function durationFlag<T extends number | undefined>(
  flag: { readonly short?: string; readonly help: string; readonly initial: T },
): ValueFlag<number | T> {
  return {
    ...flag,
    value: "DURATION",
    wanted: `a duration such as 30s, up to ${formatDuration(MAX_MS)}`,
    read: (text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms > 0 && ms <= MAX_MS ? ms : undefined;
    },
  };
}
