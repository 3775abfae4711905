/**
 * Everything that was measured in one run.
 *
 * @module
 */

import type { Machine } from "../machine.ts";
import type { FanOutFigures } from "./fan_out.ts";
import type { IdleFigures } from "./idle.ts";
import type { LatencyFigures } from "./latency.ts";
import type { ServerDescription } from "./lineup.ts";
import type { TopicsFigures } from "./topics.ts";

/** What ran, where, and what came of it. */
export interface Results {
  /** The date, as `2026-11-23`. */
  readonly date: string;
  /** Where. */
  readonly machine: Machine;
  /** The servers and what they were told. */
  readonly servers: readonly ServerDescription[];
  /** How long and how often. */
  readonly rounds: { readonly count: number; readonly seconds: number };
  /** The fan-out workloads. */
  readonly fanOut: readonly FanOutFigures[];
  /** The latencies. */
  readonly latency: readonly LatencyFigures[];
  /** The idle subscribers. */
  readonly idle: readonly IdleFigures[];
  /** The many topics. */
  readonly topics: readonly TopicsFigures[];
}
