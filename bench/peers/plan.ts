/**
 * How to measure.
 *
 * @module
 */

import type { Contender } from "./contender.ts";
import type { LoadProcess } from "./load_process.ts";

/** What all measurements are given. */
export interface Plan {
  /** Rounds of each server. */
  readonly rounds: number;
  /** How long a round takes. */
  readonly roundMs: number;
  /** Sizes of the fan-out. */
  readonly subscribers: readonly number[];
  /** How many subscribers are idle. */
  readonly idleSubscribers: number;
  /** How many topics there are besides the one that is published to. */
  readonly topics: number;
  /** Those that are there. */
  readonly contenders: readonly Contender[];
  /** The load generator. */
  readonly load: LoadProcess;
  /** Where files may be written. */
  readonly directory: string;
  /** Told what is going on. */
  readonly progress: (line: string) => void;
}

/** How many connections publish. */
export const PUBLISHERS = 32;
