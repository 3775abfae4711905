/**
 * Durations as people write them: `500ms`, `30s`, `10m`, `2h`, `7d`.
 *
 * @module
 */

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000], ["ms", 1]] as const;
const DURATION = /^(0|[1-9][0-9]{0,15})(ms|s|m|h|d|)$/;

/**
 * Reads a duration into milliseconds: a whole number and a unit (`ms`, `s`, `m`, `h`, `d`); a bare number is seconds.
 * Returns `undefined` for anything else, and for more than 2^53 - 1 ms.
 */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (!match) return undefined;
  const unitMs = UNITS.find(([unit]) => unit === (match[2] || "s"))![1];
  const ms = Number(match[1]) * unitMs;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Writes whole milliseconds as {@linkcode parseDuration} reads them, in the largest unit that keeps them whole. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  const [unit, unitMs] = UNITS.find(([_, unitMs]) => ms % unitMs === 0)!;
  return `${ms / unitMs}${unit}`;
}
