/**
 * Flags that take a duration, or a time.
 *
 * @module
 */

import { MAX_SLEEP_MS } from "../bus/clock.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import { parseSince } from "../wire/since.ts";
import type { ValueFlag } from "./flags.ts";

// A longer sleep would end at once. In whole days, to be said in words.
const DAY_MS = 86_400_000;
const MAX_MS = Math.floor(MAX_SLEEP_MS / DAY_MS) * DAY_MS;

/** Which durations a flag takes, in milliseconds. */
export interface DurationRange {
  /** The least. Default: more than none. */
  readonly minMs?: number;
  /** The most. Default: 24 d. */
  readonly maxMs?: number;
}

/** A flag that takes a duration, in milliseconds. */
export function durationFlag<T extends number | undefined>(
  { minMs = 1, maxMs = MAX_MS, ...flag }:
    & { readonly short?: string; readonly help: string; readonly initial: T }
    & DurationRange,
): ValueFlag<number | T> {
  const from = minMs <= 1 ? "" : `from ${formatDuration(minMs)} `;
  return {
    ...flag,
    value: "DURATION",
    wanted: `a duration such as 30s, ${from}${from === "" ? "up to" : "to"} ${formatDuration(maxMs)}`,
    read: (text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms >= minMs && ms <= maxMs ? ms : undefined;
    },
  };
}

/** A flag that takes a time, in milliseconds since the Unix epoch. */
export function timeFlag(flag: { readonly help: string }): ValueFlag<number | undefined> {
  return {
    ...flag,
    value: "TIME",
    initial: undefined,
    wanted: "a time such as 2026-11-23T10:00:00Z",
    read: (text) => {
      // Of what says where to begin, only a time has neither an id nor a place to count from.
      const since = parseDuration(text) === undefined ? parseSince(text, 0) : undefined;
      return typeof since === "object" && "fromMs" in since ? since.fromMs : undefined;
    },
  };
}
