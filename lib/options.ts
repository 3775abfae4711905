/**
 * The options of msgbusd, each in one place: flag, environment variable, default, range and help. `--help`, the
 * environment and the table in `docs/operations.md` all come from here.
 *
 * @module
 */

import { DEFAULT_LIMITS, type Limits } from "./bus/limits.ts";
import { parseArgs } from "./deps/cli.ts";
import { BusError, quote } from "./errors.ts";
import { suggestion } from "./suggestion.ts";
import { formatDuration, parseDuration } from "./wire/duration.ts";
import { formatSize, parseSize } from "./wire/size.ts";

/** The options of msgbusd. */
export interface Options extends Limits {
  /** The directory that everything is kept in; `undefined` to keep it in memory only. */
  readonly data: string | undefined;
  /** Whether to start though acknowledged messages are missing from that directory. */
  readonly acceptLoss: boolean;
  /** Where to listen, `host:port` each. */
  readonly bind: readonly string[];
  /** Whether it may listen beyond the loopback addresses without tokens. */
  readonly open: boolean;
  /** Host names it is reached by besides the loopback ones. */
  readonly publicHost: readonly string[];
  /** Whether requests may come through a proxy. */
  readonly trustProxy: boolean;
  /** Origins whose pages may use the bus. */
  readonly allowOrigin: readonly string[];
  /** How long a subscriber may read nothing while there is something for it, in milliseconds. */
  readonly stallTimeoutMs: number;
  /** Whether to log what helps to find faults. */
  readonly debug: boolean;
  /** Whether to log each message; `auto` does if standard error is a terminal. */
  readonly logMessages: "auto" | "on" | "off";
  /** How to write the log. */
  readonly logFormat: "text" | "json";
  /** How many topics, the busiest, have series of their own in the metrics. */
  readonly metricsTopics: number;
}

/** The limits among the options. */
export function limitsAmong(options: Options): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];
  return Object.fromEntries(names.map((name) => [name, options[name]])) as unknown as Limits;
}

/** One option: how it is given, what it means, and how its text is read. */
export interface OptionSpec<T> {
  /** The long flag, without its hyphens. */
  readonly flag: string;
  /** The short flag, without its hyphen. */
  readonly short?: string;
  /** What `--help` calls the value; absent for a switch. */
  readonly value?: string;
  /** Whether it may be given several times; in the environment the values are separated by commas. */
  readonly repeat?: true;
  /** The value of an option that is not given. */
  readonly default: T;
  /** The default as a person would write it. */
  readonly defaultText: string;
  /** The value and its text with `--data`, if it is another one: what lies on a disk may be more, and older. */
  readonly withData?: { readonly default: T; readonly text: string };
  /** What it does, in one line. */
  readonly help: string;
  /** Reads what was given. Throws an `Error` that says what would have been right. */
  parse(texts: readonly string[]): T;
}

const MAX_DURATION_MS = 3650 * 86_400_000;

/** The limits that are others with `--data`. */
const DURABLE_DEFAULTS = { ttlMs: 7 * 86_400_000, maxMessages: Infinity, maxTopicBytes: 1024 ** 3 } as const;

/** All options of msgbusd, in the order of `--help`. */
export const OPTIONS: { readonly [Name in keyof Options]: OptionSpec<Options[Name]> } = {
  bind: {
    flag: "bind",
    short: "b",
    value: "HOST:PORT",
    repeat: true,
    default: ["localhost:8000"],
    defaultText: "localhost:8000",
    help: "where to listen; localhost is both loopback addresses, :8000 is every address; may be repeated",
    parse: (texts) => texts.map(parseAddress),
  },
  open: toggle("open", "allow listening beyond the loopback addresses, where everybody may use the bus"),
  publicHost: {
    flag: "public-host",
    value: "NAME",
    repeat: true,
    default: [],
    defaultText: "none",
    help: "a host name that requests may be addressed to besides localhost; may be repeated",
    parse: (texts) => texts.map((text) => parseMatching(text, HOST_NAME, "a host name without a port")),
  },
  trustProxy: toggle("trust-proxy", "accept requests that come through a proxy, though listening on loopback only"),
  allowOrigin: {
    flag: "allow-origin",
    value: "ORIGIN",
    repeat: true,
    default: [],
    defaultText: "none",
    help: "an origin such as https://app.example whose pages may use the bus, * for all; may be repeated",
    parse: (texts) => texts.map((text) => parseMatching(text, ORIGIN, "an origin such as https://app.example, or *")),
  },
  data: {
    flag: "data",
    value: "DIR",
    default: undefined,
    defaultText: "none",
    help: "keep everything in this directory, where it outlives kill -9 and power cuts; else it is in memory only",
    parse([text]) {
      if (text === "") throw new Error("a directory");
      return text!;
    },
  },
  acceptLoss: toggle(
    "accept-loss",
    "start though acknowledged messages are missing from --data, and go on without them",
  ),
  ttlMs: withData(
    DURABLE_DEFAULTS.ttlMs,
    formatDuration,
    duration(
      "ttl",
      DEFAULT_LIMITS.ttlMs,
      [0, MAX_DURATION_MS],
      "how long messages are kept, for topics made from then on; 0 is until a limit drops them",
    ),
  ),
  maxMessages: withData(
    DURABLE_DEFAULTS.maxMessages,
    formatLimit,
    count("max-queue-size", DEFAULT_LIMITS.maxMessages, "messages retained in a topic, or none for no limit", "Q", {
      none: true,
    }),
  ),
  maxTopicBytes: withData(
    DURABLE_DEFAULTS.maxTopicBytes,
    formatSize,
    size("max-topic-bytes", DEFAULT_LIMITS.maxTopicBytes, [1024, 2 ** 50], "bytes retained in a topic"),
  ),
  maxMemoryBytes: size(
    "max-memory",
    DEFAULT_LIMITS.maxMemoryBytes,
    [1024, 2 ** 50],
    "bytes retained in all topics; with --data bytes of them kept in memory, too, and nothing is dropped for it",
  ),
  // An envelope is a third larger than its payload, and WebSocket clients on Deno take frames of up to 64 MiB.
  maxPayloadBytes: size("max-payload-size", DEFAULT_LIMITS.maxPayloadBytes, [1, 2 ** 25], "bytes in one message", "P"),
  maxTopics: count("max-topics", DEFAULT_LIMITS.maxTopics, "topics"),
  topicIdleMs: duration(
    "topic-idle",
    DEFAULT_LIMITS.topicIdleMs,
    [1000, MAX_DURATION_MS],
    "how long a topic with nothing retained and no reader is remembered",
  ),
  maxGroups: count("max-groups", DEFAULT_LIMITS.maxGroups, "groups of a topic"),
  maxLeased: count("max-leased", DEFAULT_LIMITS.maxLeased, "messages leased and not done in a group"),
  maxAttempts: count(
    "max-attempts",
    DEFAULT_LIMITS.maxAttempts,
    "how often a message is leased before it becomes a dead letter; 0 is without end",
    undefined,
    { range: [0, 1_000_000] },
  ),
  groupIdleMs: duration(
    "group-idle",
    DEFAULT_LIMITS.groupIdleMs,
    [1000, MAX_DURATION_MS],
    "how long a group that nobody uses is remembered",
  ),
  discard: choice(
    "discard",
    ["old", "new"],
    DEFAULT_LIMITS.discard,
    "what a full topic loses: its oldest message, or the new one, which gets 507",
  ),
  dedupeWindowMs: duration(
    "dedupe-window",
    DEFAULT_LIMITS.dedupeWindowMs,
    [0, MAX_DURATION_MS],
    "how long a repeated publish is known by its Idempotency-Key; 0 is not at all",
  ),
  stallTimeoutMs: duration(
    "stall-timeout",
    60_000,
    [1000, MAX_DURATION_MS],
    "how long a subscriber may read nothing while there is something for it",
  ),
  debug: toggle("debug", "log what helps to find faults", "D"),
  logMessages: choice("log-messages", ["auto", "on", "off"], "auto", "log each message; auto does on a terminal"),
  logFormat: choice("log-format", ["text", "json"], "text", "how to write the log"),
  metricsTopics: count("metrics-topics", 20, "busiest topics with series of their own in /metrics", undefined, {
    range: [0, 1000],
  }),
};

/** The environment variable of an option. */
export function environmentName(spec: { readonly flag: string }): string {
  return `MSGBUSD_${spec.flag.toUpperCase().replaceAll("-", "_")}`;
}

/** Verifying what was kept, while no msgbusd runs on it. */
export interface CheckOptions {
  /** The directory that was given as `--data`, or a backup. */
  readonly path: string;
  /** Whether to print JSON. */
  readonly json: boolean;
}

/** What the arguments ask for: to run with these options, to verify what was kept, or only to print something. */
export type Request =
  | { readonly do: "help" }
  | { readonly do: "version" }
  | { readonly do: "check"; readonly options: CheckOptions }
  | { readonly do: "run"; readonly options: Options };

/**
 * Reads the options from the arguments, else from the environment, else from the defaults.
 *
 * @throws {BusError} `bad_option`, naming the option and the value.
 */
export function readOptions(args: readonly string[], environment: (name: string) => string | undefined): Request {
  if (args[0] === "check") return readCheckOptions(args.slice(1), environment);
  const specs = Object.values(OPTIONS) as OptionSpec<unknown>[];
  const alias: Record<string, string> = { help: "h", version: "v" };
  for (const { flag, short } of specs) if (short !== undefined) alias[flag] = short;
  const valued = specs.filter((spec) => spec.value !== undefined).map((spec) => spec.flag);
  const switches = [...specs.filter((spec) => spec.value === undefined).map((spec) => spec.flag), "help", "version"];
  const assigned = switches.flatMap((flag) => flag in alias ? [`--${flag}=`, `-${alias[flag]}=`] : [`--${flag}=`]);
  for (const argument of args) assertNotAssigned(argument, assigned);
  for (const spec of specs) if (spec.value !== undefined) assertNotEmpty(spec, args);
  const given = parseArgs([...args], {
    string: valued,
    collect: valued,
    boolean: switches,
    alias,
    unknown: (argument: string) => {
      if (argument.startsWith("-")) throw unknownFlag(argument, [...valued, ...switches]);
      const hint = argument === "check" ? ", it comes first" : "";
      throw new BusError("bad_option", `Unexpected argument ${quote(argument)}${hint}; see msgbusd --help`);
    },
  });
  // What follows "--".
  if (given._.length > 0) throw new BusError("bad_option", `Unexpected argument ${quote(String(given._[0]))}`);
  if (given.help) return { do: "help" };
  if (given.version) return { do: "version" };
  const read = <T>(spec: OptionSpec<T>) => readOption(spec, given[spec.flag], environment(environmentName(spec)));
  const durable = read(OPTIONS.data) !== undefined;
  const options = Object.fromEntries(
    Object.entries(OPTIONS as Readonly<Record<string, OptionSpec<unknown>>>)
      .map(([name, spec]) => [name, read(spec) ?? defaultOf(spec, durable)]),
  ) as unknown as Options;
  return { do: "run", options };
}

/** Reads the arguments of `msgbusd check`. */
function readCheckOptions(args: readonly string[], environment: (name: string) => string | undefined): Request {
  const words: string[] = [];
  assertNotEmpty(OPTIONS.data, args);
  const given = parseArgs([...args], {
    string: ["data"],
    collect: ["data"],
    boolean: ["json", "help"],
    alias: { help: "h" },
    unknown: (argument: string) => {
      if (argument.startsWith("-")) throw unknownFlag(argument, ["data", "json", "help"], " of check");
      words.push(argument);
      return false;
    },
  });
  if (given.help) return { do: "help" };
  const named = [...given.data.map(String), ...words, ...given._.map(String)];
  if (named.length > 1) throw new BusError("bad_option", `Unexpected argument ${quote(named[1]!)} of check`);
  const path = readOption(OPTIONS.data, named, environment(environmentName(OPTIONS.data)));
  if (path === undefined) throw new BusError("bad_option", "Cannot check: say what, as in msgbusd check --data DIR");
  return { do: "check", options: { path, json: given.json } };
}

function unknownFlag(argument: string, flags: readonly string[], where = ""): BusError {
  const typed = argument.replace(/=.*$/s, "");
  const meant = typed.startsWith("--") ? suggestion(typed.slice(2), flags) : undefined;
  const hint = meant === undefined ? "" : `, did you mean --${meant}?`;
  return new BusError("bad_option", `Unknown flag ${quote(argument)}${where}${hint}; see msgbusd --help`);
}

function defaultOf<T>(spec: OptionSpec<T>, durable: boolean): T {
  return durable && spec.withData !== undefined ? spec.withData.default : spec.default;
}

/** The default of an option as a person would write it, both if there are two. */
export function defaultText(spec: OptionSpec<unknown>): string {
  return spec.withData === undefined ? spec.defaultText : `${spec.defaultText}; with --data ${spec.withData.text}`;
}

/** Refuses `--open=no`, which would be read as `--open`. */
function assertNotAssigned(argument: string, assigned: readonly string[]): void {
  if (assigned.some((beginning) => argument.startsWith(beginning))) {
    throw new BusError("bad_option", `Bad ${quote(argument)}: the flag takes no value`);
  }
}

/** Refuses `--data ''` and `--data=`, which `parseArgs` would take for other arguments. */
function assertNotEmpty(spec: OptionSpec<unknown>, args: readonly string[]): void {
  const spellings = [`--${spec.flag}`, `-${spec.short}`];
  for (const [at, argument] of args.entries()) {
    const isEmpty = spellings.includes(argument) ? args[at + 1] === "" : argument === `--${spec.flag}=`;
    if (isEmpty) parseOption(spec, `--${spec.flag}`, [""]);
  }
}

/** What is given of an option; `undefined` if nothing is. */
function readOption<T>(spec: OptionSpec<T>, given: unknown, fromEnvironment: string | undefined): T | undefined {
  const flags = given === true ? ["true"] : Array.isArray(given) ? given.map(String) : [];
  if (flags.length > 0) return parseOption(spec, `--${spec.flag}`, flags);
  if (fromEnvironment === undefined) return undefined;
  const texts = spec.repeat ? fromEnvironment.split(",").map((text) => text.trim()) : [fromEnvironment];
  return parseOption(spec, environmentName(spec), texts);
}

function parseOption<T>(spec: OptionSpec<T>, source: string, texts: readonly string[]): T {
  if (texts.length > 1 && !spec.repeat) {
    throw new BusError("bad_option", `Bad ${source}: given twice`);
  }
  try {
    return spec.parse(texts);
  } catch (cause) {
    const text = texts.join(",");
    const fault = text === "" ? ": it is empty," : ` ${quote(text)}:`;
    throw new BusError("bad_option", `Bad ${source}${fault} not ${(cause as Error).message}`, { cause });
  }
}

/** What `--help` prints. */
export function helpText(): string {
  const rows = (Object.values(OPTIONS) as OptionSpec<unknown>[]).map((spec) => [
    `${spec.short === undefined ? "    " : `-${spec.short}, `}--${spec.flag}${
      spec.value === undefined ? "" : ` ${spec.value}`
    }`,
    spec.value === undefined ? spec.help : `${spec.help} (${defaultText(spec)})`,
  ]);
  rows.push(["-v, --version", "print the version"], ["-h, --help", "print this help"]);
  const width = Math.max(...rows.map(([flags]) => flags!.length));
  return `msgbusd: a real-time message bus over HTTP

Usage: msgbusd [options]
       msgbusd check [--json] --data DIR|FILE

check verifies what --data has kept, or a backup of it, while no msgbusd runs on it.

Options, each with its default; --some-option can also be given as the environment variable MSGBUSD_SOME_OPTION:
${rows.map(([flags, help]) => `  ${flags!.padEnd(width)}  ${help}`).join("\n")}

Durations: 500ms, 30s, 10m, 2h, 7d; a bare number is seconds. Sizes: 512, 64KiB, 1MiB, 2GiB.
Exit codes: 0 drained, 65 data damaged or newer, 70 bug, 73 data can't be written, 74 the disk failed, 75 address or
data in use, 78 configuration.

Example:
  msgbusd --bind localhost:8000 --ttl 10m &
  curl -d 'Hello World!' http://localhost:8000/hello
  curl http://localhost:8000/hello
`;
}

/** An address to listen on, taken apart. */
export interface Address {
  /** The host name or address, without brackets; empty for every address. */
  readonly host: string;
  /** The port; 0 for any free one. */
  readonly port: number;
}

const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})$/;
const HOST_NAME = /^[A-Za-z0-9._-]+$|^[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*$/;
const ORIGIN = /^\*$|^https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** Takes an address of {@linkcode Options.bind} apart; `undefined` if it is none. */
export function splitAddress(text: string): Address | undefined {
  const match = ADDRESS.exec(text);
  if (match === null || Number(match[3]) > 65_535) return undefined;
  return { host: match[1] ?? match[2]!, port: Number(match[3]) };
}

function parseAddress(text: string): string {
  if (splitAddress(text) === undefined) throw new Error("HOST:PORT with a port up to 65535");
  return text;
}

function parseMatching(text: string, pattern: RegExp, what: string): string {
  if (!pattern.test(text)) throw new Error(what);
  return text;
}

function toggle(flag: string, help: string, short?: string): OptionSpec<boolean> {
  return {
    flag,
    short,
    default: false,
    defaultText: "off",
    help,
    parse([text]) {
      if (["true", "1", "yes", "on"].includes(text!)) return true;
      if (["false", "0", "no", "off", ""].includes(text!)) return false;
      throw new Error("true or false");
    },
  };
}

function choice<const T extends string>(flag: string, values: readonly T[], initial: T, help: string): OptionSpec<T> {
  return {
    flag,
    value: values.join("|"),
    default: initial,
    defaultText: initial,
    help,
    parse([text]) {
      const value = values.find((value) => value === text);
      if (value === undefined) throw new Error(`one of ${values.join(", ")}`);
      return value;
    },
  };
}

type Range = readonly [min: number, max: number];

/** An option whose text stands for a number in a range. */
function quantity(
  { flag, short, value, initial, range, help, read, write, what }: {
    flag: string;
    short?: string;
    value: string;
    initial: number;
    range: Range;
    help: string;
    read: (text: string) => number | undefined;
    write: (value: number) => string;
    what: string;
  },
): OptionSpec<number> {
  return {
    flag,
    short,
    value,
    default: initial,
    defaultText: write(initial),
    help,
    parse([text]) {
      const number = read(text!);
      if (number === undefined || number < range[0] || number > range[1]) {
        throw new Error(`${what} from ${write(range[0])} to ${write(range[1])}`);
      }
      return number;
    },
  };
}

function duration(flag: string, initial: number, range: Range, help: string): OptionSpec<number> {
  const what = "a duration such as 30s,";
  return quantity({ flag, value: "DURATION", initial, range, help, read: parseDuration, write: formatDuration, what });
}

function size(flag: string, initial: number, range: Range, help: string, short?: string): OptionSpec<number> {
  const what = "a size such as 1MiB,";
  return quantity({ flag, short, value: "SIZE", initial, range, help, read: parseSize, write: formatSize, what });
}

/** A whole number in a range, `1` to `1_000_000_000` unless another one is said; with `none` it may be infinite, too. */
function count(
  flag: string,
  initial: number,
  help: string,
  short?: string,
  { range = [1, 1_000_000_000], none = false }: { range?: Range; none?: boolean } = {},
): OptionSpec<number> {
  const read = (text: string) => /^[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
  const spec = quantity({
    flag,
    short,
    value: "COUNT",
    initial,
    range,
    help,
    read,
    write: formatLimit,
    what: none ? "none, or a whole number" : "a whole number",
  });
  return none ? { ...spec, parse: (texts) => texts[0] === "none" ? Infinity : spec.parse(texts) } : spec;
}

function formatLimit(value: number): string {
  return value === Infinity ? "none" : String(value);
}

/** The option with another default with `--data`. */
function withData<T>(value: T, write: (value: T) => string, spec: OptionSpec<T>): OptionSpec<T> {
  return { ...spec, withData: { default: value, text: write(value) } };
}
