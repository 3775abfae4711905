/**
 * What should be reached, next to what was.
 *
 * @module
 */

import { formatNumber, formatTable } from "./summary.ts";

/** One goal, to be looked for in results of a kind. */
export interface Goal<Results> {
  /** What is looked at. */
  readonly title: string;
  /** What it should be. */
  readonly bound: { readonly atLeast: number } | { readonly atMost: number };
  /** The unit of both, after a number. */
  readonly unit: string;
  /** What it was, by medians; `undefined` if it was not measured. */
  measure(results: Results): number | undefined;
}

/** Writes the goals that were measured as a table; empty if none was. */
export function formatGoals<Results>(goals: readonly Goal<Results>[], results: Results): string {
  const rows = goals.flatMap(({ title, bound, unit, measure }) => {
    const value = measure(results);
    if (value === undefined) return [];
    const reached = "atLeast" in bound ? value >= bound.atLeast : value <= bound.atMost;
    const wanted = "atLeast" in bound ? `≥ ${bound.atLeast}${unit}` : `≤ ${bound.atMost}${unit}`;
    return [[title, wanted, `${formatNumber(value)}${unit}`, reached ? "yes" : "no"]];
  });
  return rows.length === 0 ? "" : formatTable(["goal of msgbusd", "wanted", "measured", "reached"], rows);
}
