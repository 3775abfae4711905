/**
 * Sizes in bytes as people write them: `512`, `64KiB`, `1MiB`, `2GiB`.
 *
 * @module
 */

const UNITS = [["GiB", 1024 ** 3], ["MiB", 1024 ** 2], ["KiB", 1024], ["", 1]] as const;
const SIZE = /^(0|[1-9][0-9]{0,15})(GiB|MiB|KiB|)$/;

/**
 * Reads a size into bytes: a whole number, alone or with `KiB`, `MiB` or `GiB` (powers of 1024).
 * Returns `undefined` for anything else, and for more than 2^53 - 1 bytes.
 */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (!match) return undefined;
  const bytes = Number(match[1]) * UNITS.find(([unit]) => unit === match[2])![1];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes whole bytes as {@linkcode parseSize} reads them, in the largest unit that keeps them whole. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return "0";
  const [unit, unitBytes] = UNITS.find(([_, unitBytes]) => bytes % unitBytes === 0)!;
  return `${bytes / unitBytes}${unit}`;
}
