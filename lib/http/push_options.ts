/**
 * What streams and sockets push with alike.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";
import type { TextLines } from "./encodings.ts";
import type { TurnBudget } from "./turn_budget.ts";

/** What everything that pushes messages of one bus works with. */
export interface PushOptions {
  /** How long a reader may take nothing while there is something, in milliseconds. */
  readonly stallMs: number;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Lines of NDJSON, which are the same in every format that has them. */
  readonly lines: TextLines;
  /** What all readers together may encode in a turn. */
  readonly budget: TurnBudget;
}
