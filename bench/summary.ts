/**
 * Several measurements of one thing, told in three numbers.
 *
 * @module
 */

/** The middle and the ends of several measurements. */
export interface Summary {
  /** The median. */
  readonly median: number;
  /** The least. */
  readonly min: number;
  /** The greatest. */
  readonly max: number;
}

/** Sums up at least one measurement. */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Sums up those measurements that could be made, if any could. */
export function summariseKnown(values: readonly (number | undefined)[]): Summary | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : summarise(known);
}

/** The value that a quarter of at least one measurement don't exceed. */
export function lowerQuartile(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 4)]!;
}

/** Writes a summary as `median (min–max)`. */
export function formatSummary(summary: Summary | undefined, format: (value: number) => string): string {
  return summary === undefined ? "–" : `${format(summary.median)} (${format(summary.min)}–${format(summary.max)})`;
}

/** Writes a number with three significant digits, or all digits of its whole part in groups of three. */
export function formatNumber(value: number): string {
  if (value < 100) return String(Number(value.toPrecision(3)));
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** Writes a share as a percentage. */
export function formatShare(value: number): string {
  return `${Math.round(value * 100)} %`;
}

/** Writes rows as a table of Markdown with its columns aligned; all but the first are numbers. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")} |\n`;
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return line(header) + line(rule) + rows.map(line).join("");
}
