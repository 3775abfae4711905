/**
 * Everything that was measured in one run.
 *
 * @module
 */

import type { Machine } from "../machine.ts";
import type { FanOutFigures } from "../peers/fan_out.ts";
import type { ServerDescription } from "../peers/lineup.ts";
import type { Disk, SyncTimes } from "./disk.ts";
import type { PublishFigures } from "./publish.ts";

/** What ran, where, and what came of it. */
export interface DurableResults {
  /** The date, as `2026-11-23`. */
  readonly date: string;
  /** Where. */
  readonly machine: Machine;
  /** What everything was kept on. */
  readonly disk: Disk;
  /** What it took alone, before the first round and before each round of publishing. */
  readonly sync: readonly SyncTimes[];
  /** The servers and what they were told. */
  readonly servers: readonly ServerDescription[];
  /** What made the load. */
  readonly generator: string;
  /** How long and how often. */
  readonly rounds: { readonly count: number; readonly seconds: number };
  /** Publishing. */
  readonly publish: readonly PublishFigures[];
  /** Fan-out; its ratios are to msgbusd in memory. */
  readonly fanOut: readonly FanOutFigures[];
}
