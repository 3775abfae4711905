/**
 * What these tests are told after `--`: how far to go, and what to replay.
 *
 * @module
 */

/** A number, as in `--runs=200`; `undefined` if it is not given. */
function argument(name: string): number | undefined {
  const prefix = `--${name}=`;
  const text = Deno.args.find((arg) => arg.startsWith(prefix))?.slice(prefix.length);
  return text === undefined || text === "" ? undefined : Number(text);
}

/** How often to try; `usual` if nothing is said. */
export function countOfRuns(usual: number): number {
  return argument("runs") ?? usual;
}

/** The numbers to try: from 1 to as many as are given, `usual` if nothing is said. */
export function numbersOfRuns(usual: readonly number[]): readonly number[] {
  const given = argument("runs");
  return given === undefined ? usual : Array.from({ length: given }, (_, i) => i + 1);
}

/** The seed of what is random, and how many more to go through; from 1 on if nothing is said. */
export function seeds(): number[] {
  const first = argument("seed") ?? 1;
  return Array.from({ length: argument("seeds") ?? 1 }, (_, i) => first + i);
}
