/**
 * Flags: each in one place, from which it is read and explained.
 *
 * @module
 */

import { parseArgs } from "../deps/cli.ts";
import { BusError, quote } from "../errors.ts";
import { suggestion } from "../suggestion.ts";

/** A flag with a value. */
export interface ValueFlag<T> {
  /** The short flag, without its hyphen. */
  readonly short?: string;
  /** What the help calls the value. */
  readonly value: string;
  /** What it does, in one line. */
  readonly help: string;
  /** The environment variable that is read if the flag is not given. */
  readonly env?: string;
  /** The value if it is not given at all. */
  readonly initial: T;
  /** What would be right, for the error. */
  readonly wanted: string;
  /** Reads the value; `undefined` if it is wrong, or a {@linkcode BusError} that says what is. */
  readonly read: (text: string) => T | undefined;
}

/** A flag with a value that may be given several times. */
export interface ListFlag<T> extends Omit<ValueFlag<T>, "initial" | "env"> {
  /** What tells it from a {@linkcode ValueFlag}. */
  readonly many: true;
  /** The values if it is not given at all. */
  readonly initial: readonly T[];
}

/** A flag without a value. */
export interface Switch {
  /** The short flag, without its hyphen. */
  readonly short?: string;
  /** What it does, in one line. */
  readonly help: string;
  /** The value if it is not given; a switch that is on is given as `--no-<name>`. */
  readonly initial: boolean;
}

/** The flags of a command, by their names. */
// deno-lint-ignore no-explicit-any
export type Flags = Readonly<Record<string, ValueFlag<any> | ListFlag<any> | Switch>>;

/** The values of flags, by their names. */
export type Values<F extends Flags> = {
  readonly [Name in keyof F]: F[Name] extends ListFlag<infer T> ? readonly T[]
    : F[Name] extends ValueFlag<infer T> ? T
    : boolean;
};

/** A command line, read. */
export interface CommandLine<F extends Flags> {
  /** The values of the flags. */
  readonly values: Values<F>;
  /** What is not a flag, in order. */
  readonly words: readonly string[];
  /** The arguments that were read as flags, as they were given. */
  readonly flagArguments: readonly string[];
}

/** How to read a command line. */
export interface ReadOptions {
  /** How many words until everything that follows is a word, too. Default: flags may stand anywhere. */
  readonly wordsBeforeRest?: number;
  /** What errors refer to, for example `msgbus help sub`. */
  readonly help: string;
  /** The value of an environment variable. */
  readonly env: (name: string) => string | undefined;
}

/**
 * Reads flags and words. A flag may stand before or after any word; `--` ends the flags.
 *
 * @throws {BusError} `bad_option`, naming the flag and the value.
 */
export function readCommandLine<F extends Flags>(
  args: readonly string[],
  flags: F,
  options: ReadOptions,
): CommandLine<F> {
  const { wordsBeforeRest = Infinity, help, env } = options;
  const words: string[] = [];
  const flagArguments: string[] = [];
  const given = new Map<string, string[]>();
  let rest = [...args];
  while (rest.length > 0 && words.length < wordsBeforeRest) {
    const first = rest[0]!;
    if (first === "--") {
      rest = rest.slice(1);
      break;
    }
    if (!isFlag(first)) {
      words.push(first);
      rest = rest.slice(1);
      continue;
    }
    const count = readFlag(rest, flags, given, help);
    flagArguments.push(...rest.slice(0, count));
    rest = rest.slice(count);
  }
  words.push(...rest);
  const values = Object.entries(flags).map(([name, flag]) => [name, valueOf(name, flag, given.get(name), help, env)]);
  return { values: Object.fromEntries(values) as Values<F>, words, flagArguments };
}

/** How a flag is written on the command line, for example `--no-reconnect`. */
export function spelling(name: string, flag: Flags[string]): string {
  return !("value" in flag) && flag.initial ? `--no-${name}` : `--${name}`;
}

function isFlag(argument: string): boolean {
  return argument.startsWith("-") && argument !== "-";
}

/** Reads the flag at the beginning of `args` into `given`; returns how many arguments it takes. */
function readFlag(args: readonly string[], flags: Flags, given: Map<string, string[]>, help: string): number {
  const names = Object.keys(flags);
  const valued = names.filter((name) => "value" in flags[name]!);
  const switches = names.filter((name) => !valued.includes(name));
  const [first, next] = args as [string, string | undefined];
  // Not by parseArgs, which would take a following word "true" for the value of the switch.
  const plain = switches.find((name) => first === spelling(name, flags[name]!) || first === `-${flags[name]!.short}`);
  if (plain !== undefined) {
    note(given, plain, []);
    return 1;
  }
  assertNoValue(first, switches, help);
  const window = next === undefined || isFlag(next) ? [first] : [first, next];
  const parsed: Record<string, unknown> & { _: (string | number)[] } = parseArgs(window, {
    string: [...valued, "_"],
    collect: valued,
    boolean: switches.filter((name) => !flags[name]!.initial),
    alias: Object.fromEntries(
      names.flatMap((name) => flags[name]!.short === undefined ? [] : [[name, flags[name]!.short!]]),
    ),
    stopEarly: true,
    unknown: (argument: string) => {
      if (isFlag(argument)) throw unknownFlag(argument, flags, help);
      return true;
    },
  });
  for (const name of valued) {
    const texts = [parsed[name] ?? []].flat().map(String);
    if (texts.includes("")) throw noValue(`--${name}`, flags[name] as ValueFlag<unknown>, help);
    if (texts.length > 0) note(given, name, texts);
  }
  for (const name of switches) if (parsed[name] === true) note(given, name, []);
  return window.length - parsed._.length;
}

function note(given: Map<string, string[]>, name: string, texts: string[]): void {
  given.set(name, [...given.get(name) ?? [], ...texts]);
}

function assertNoValue(argument: string, switches: readonly string[], help: string): void {
  const name = /^--(?:no-)?([^=]+)=/.exec(argument)?.[1];
  if (name !== undefined && switches.includes(name)) {
    throw new BusError("bad_option", `Bad flag ${quote(argument)}: it takes no value; see ${help}`);
  }
}

function noValue(source: string, { wanted }: { readonly wanted: string }, help: string): BusError {
  return new BusError("bad_option", `Bad ${source}: it needs a value, ${wanted}; see ${help}`);
}

function unknownFlag(argument: string, flags: Flags, help: string): BusError {
  const typed = argument.replace(/=.*$/s, "");
  const meant = typed.startsWith("--")
    ? suggestion(typed.slice(2), Object.entries(flags).map(([name, flag]) => spelling(name, flag).slice(2)))
    : undefined;
  const hint = meant === undefined ? ", put -- before what is not a flag" : `, did you mean --${meant}?`;
  return new BusError("bad_option", `Unknown flag ${quote(argument)}${hint}; see ${help}`);
}

function valueOf(
  name: string,
  flag: Flags[string],
  given: readonly string[] | undefined,
  help: string,
  env: (name: string) => string | undefined,
): unknown {
  if (!("value" in flag)) return given === undefined ? flag.initial : !flag.initial;
  if ("many" in flag) return given?.map((text) => readText(`--${name}`, flag, text, help)) ?? flag.initial;
  const fromEnvironment = given === undefined && flag.env !== undefined ? env(flag.env) : undefined;
  const texts = given ?? (fromEnvironment === undefined ? undefined : [fromEnvironment]);
  if (texts === undefined) return flag.initial;
  const source = given === undefined ? flag.env! : `--${name}`;
  if (texts.length > 1) throw new BusError("bad_option", `Bad ${source}: given twice; see ${help}`);
  return readText(source, flag, texts[0]!, help);
}

function readText(
  source: string,
  flag: Pick<ValueFlag<unknown>, "read" | "wanted">,
  text: string,
  help: string,
): unknown {
  if (text === "") throw noValue(source, flag, help);
  const wrong = (fault: string) => {
    return new BusError("bad_option", `Bad ${source} ${quote(text)}: ${fault}; see ${help}`);
  };
  let value: unknown;
  try {
    value = flag.read(text);
  } catch (error) {
    throw error instanceof BusError ? wrong(error.message) : error;
  }
  if (value === undefined) throw wrong(`not ${flag.wanted}`);
  return value;
}
