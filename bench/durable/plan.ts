/**
 * How to measure.
 *
 * @module
 */

import type { FanOutPlan } from "../peers/fan_out.ts";
import type { Drives } from "./drives.ts";

/** What all measurements are given. */
export interface DurablePlan extends FanOutPlan {
  /** How many connections publish, one number after the other. */
  readonly connections: readonly number[];
  /** What drives the servers that are only published to. */
  readonly drives: Drives;
}
