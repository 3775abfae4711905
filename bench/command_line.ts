/**
 * What the benchmarks that people start have in common: reading their arguments, and speaking.
 *
 * @module
 */

const encoder = new TextEncoder();

/**
 * Reads a number; `fallback` if it isn't given.
 *
 * @throws {RangeError} if it is none from `min` to `max`.
 */
export function readNumber(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value >= min && value <= max)) throw new RangeError(`Bad --${name} "${text}": a number from ${min} to ${max}`);
  return value;
}

/**
 * Reads which benchmarks to run, separated by commas; `usual` if that isn't given.
 *
 * @throws {RangeError} for one that is not among `all`.
 */
export function readNames(
  text: string | undefined,
  { all, usual = all }: { readonly all: readonly string[]; readonly usual?: readonly string[] },
): readonly string[] {
  const names = text?.split(",") ?? usual;
  const wrong = names.find((name) => !all.includes(name));
  if (wrong !== undefined) throw new RangeError(`No benchmark "${wrong}"; there are ${all.join(" ")}`);
  return names;
}

/** Says what is going on, to a person who waits. */
export function progress(line: string): void {
  if (Deno.stderr.isTerminal()) say(line);
}

/** Says something that is no result. */
export function say(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${line}\n`));
}

/** Prints a result; returns the exit code of what has gone well. */
export function print(text: string): number {
  Deno.stdout.writeSync(encoder.encode(text));
  return 0;
}
