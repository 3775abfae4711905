/**
 * Stand-in for `@std/cli/parse-args` over minimist, which the real one descends from. What follows is only where the
 * two differ, for callers whose `unknown` refuses the options it does not know.
 *
 * @module
 */

import minimist from "npm:minimist@^1.2.8";

/** What `parseArgs` takes: the part of the real type that is used here. */
export interface ParseOptions {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: string | readonly string[];
  collect?: string | readonly string[];
  default?: Record<string, unknown>;
  negatable?: string | readonly string[];
  stopEarly?: boolean;
  string?: string | readonly string[];
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What `parseArgs` gives. */
export interface Args {
  // deno-lint-ignore no-explicit-any
  [name: string]: any;
  _: (string | number)[];
  "--"?: string[];
}

/** Reads command line arguments. */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  const aliases = Object.entries(options.alias ?? {}).map(([key, names]) => [key, names].flat() as string[]);
  const withAliases = (names: string | readonly string[] = []) =>
    new Set([names].flat().flatMap((name) => aliases.find((group) => group.includes(name as string)) ?? [name]));
  const booleans = withAliases(options.boolean);
  const strings = withAliases(options.string);
  const collected = withAliases(options.collect);
  const negatable = withAliases(options.negatable);
  const known = new Set([...booleans, ...strings, ...collected, ...aliases.flat()]);
  const { unknown = () => true } = options;

  // minimist negates every --no-x, lets an option take a value that begins with a dash or is empty, and reads `--x=` as
  // an empty value. The real one does the first only for `negatable`, and the others never.
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const rewritten: string[] = [];
  const asTyped = new Map<string, string>();
  for (let i = 0; i < end; i++) {
    const arg = args[i]!;
    const next = i + 1 < end ? args[i + 1]! : "";
    const takesNext = next !== "" && !next.startsWith("-");
    const name = arg.replace(/^--/, "");
    if (!arg.startsWith("-") || arg === "-") {
      rewritten.push(arg);
      if (!options.stopEarly) continue;
      rewritten.push(...args.slice(i + 1, end));
      break;
    }
    if (!arg.startsWith("--")) {
      rewritten.push(arg);
      const attached = /[A-Za-z].*(=|\d$)|.\W./.test(arg.slice(1));
      const value = booleans.has(arg.slice(-1)) ? /^(true|false)$/ : /^(?!--?[^-])[^]/;
      if (!attached && value.test(next)) rewritten.push(args[++i]!);
    } else if (/^[^=]+=$/.test(name)) {
      const value = takesNext ? args[++i]! : "true";
      asTyped.set(`--${name.slice(0, -1)}\0=${value}`, arg); // a name that nobody has
      rewritten.push(`--${name.slice(0, -1)}\0=${value}`);
    } else if (name.includes("=") || (name.startsWith("no-") && negatable.has(name.slice(3)))) {
      rewritten.push(arg);
    } else if (booleans.has(name)) {
      const value = next === "true" || next === "false" ? args[++i]! : "true";
      rewritten.push(`${arg}=${value}`);
    } else {
      const value = takesNext ? args[++i]! : strings.has(name) ? "" : "true";
      asTyped.set(`${arg}=${value}`, arg);
      rewritten.push(`${arg}=${value}`);
    }
  }

  const { _, "--": rest, ...found } = minimist([...rewritten, ...args.slice(end)], {
    ...options,
    boolean: [...booleans],
    string: [...strings],
    unknown(arg: string) {
      if (!arg.startsWith("-") || arg === "-") return unknown(arg) !== false;
      const [, key, value] = /^--([^=]+)=?([^]*)$/.exec(arg) ?? [, [...arg.slice(1)].find((c) => !known.has(c)), ""];
      return collected.has(key!) || unknown(asTyped.get(arg) ?? arg, key?.replace("\0", "="), value || true) !== false;
    },
  } as minimist.Opts);

  // minimist makes an array of what is given twice; the real one collects only what `collect` names.
  const result: Args = { ...found, _ };
  for (const [name, value] of Object.entries(found)) {
    if (collected.has(name)) result[name] = booleans.has(name) && value === false ? [] : [value].flat();
    else if (Array.isArray(value) && value !== options.default?.[name]) result[name] = value.at(-1);
  }
  for (const name of collected) if (strings.has(name)) result[name] ??= [];
  if (options["--"]) result["--"] = rest ?? [];
  return result;
}
