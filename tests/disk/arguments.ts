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

/** The seed of what is random, and how many more to go through; from 1 on if nothing is said. */
export function seeds(): number[] {
  const first = argument("seed") ?? 1;
  return Array.from({ length: argument("seeds") ?? 1 }, (_, i) => first + i);
}
