/**
 * Reading the options of msgbusd.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "../lib/bus/limits.ts";
import { BusError } from "../lib/errors.ts";
import {
  defaultText,
  environmentName,
  helpText,
  limitsAmong,
  OPTIONS,
  type Options,
  type OptionSpec,
  readOptions,
  splitAddress,
} from "../lib/options.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "./deps.ts";

const NOTHING = () => undefined;

function options(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Options {
  const request = readOptions(args, (name) => environment[name]);
  if (request.do !== "run") throw new Error(`Asks for ${request.do}`);
  return request.options;
}

function refusal(args: readonly string[], environment: Readonly<Record<string, string>> = {}): string {
  const error = assertThrows(() => options(args, environment), BusError);
  assertEquals(error.code, "bad_option");
  assert(!error.message.includes("\n"));
  return error.message;
}

/** A value of every option other than its default, as text, and what it means. */
const GIVEN = {
  bind: ["[::1]:81", ["[::1]:81"]],
  open: ["true", true],
  publicHost: ["bus.example", ["bus.example"]],
  trustProxy: ["true", true],
  allowOrigin: ["https://app.example:8443", ["https://app.example:8443"]],
  data: ["./data", "./data"],
  acceptLoss: ["true", true],
  ttlMs: ["10m", 600_000],
  maxMessages: ["7", 7],
  maxTopicBytes: ["2MiB", 2 * 1024 ** 2],
  maxMemoryBytes: ["1GiB", 1024 ** 3],
  maxPayloadBytes: ["512", 512],
  maxTopics: ["9", 9],
  topicIdleMs: ["1d", 86_400_000 * 1],
  maxGroups: ["3", 3],
  maxLeased: ["100", 100],
  maxAttempts: ["0", 0],
  groupIdleMs: ["2h", 7_200_000],
  discard: ["new", "new"],
  dedupeWindowMs: ["5m", 300_000],
  stallTimeoutMs: ["10s", 10_000],
  debug: ["true", true],
  logMessages: ["off", "off"],
  logFormat: ["json", "json"],
  metricsTopics: ["0", 0],
} as const satisfies Record<keyof Options, readonly [text: string, value: unknown]>;

const NAMES = Object.keys(OPTIONS) as (keyof Options)[];

Deno.test("options: without arguments and environment they are the documented defaults", () => {
  assertEquals(options([]), {
    bind: ["localhost:8000"],
    open: false,
    publicHost: [],
    trustProxy: false,
    allowOrigin: [],
    data: undefined,
    acceptLoss: false,
    ttlMs: 60_000,
    maxMessages: 65_536,
    maxTopicBytes: 64 * 1024 ** 2,
    maxMemoryBytes: 512 * 1024 ** 2,
    maxPayloadBytes: 1024 ** 2,
    maxTopics: 65_536,
    topicIdleMs: 86_400_000,
    maxGroups: 1000,
    maxLeased: 10_000,
    maxAttempts: 5,
    groupIdleMs: 86_400_000,
    discard: "old",
    dedupeWindowMs: 120_000,
    stallTimeoutMs: 60_000,
    debug: false,
    logMessages: "auto",
    logFormat: "text",
    metricsTopics: 20,
  });
});

/** The defaults that are others with `--data`. */
const WITH_DATA = { ttlMs: 7 * 86_400_000, maxMessages: Infinity, maxTopicBytes: 1024 ** 3 };

for (const name of NAMES) {
  const { flag, short, value } = OPTIONS[name];
  const [text, expected] = GIVEN[name];
  const changed = { ...options([]), ...(name === "data" ? WITH_DATA : {}), [name]: expected };

  Deno.test(`options: --${flag} is read, and nothing else changes`, () => {
    const forms = value === undefined ? [[`--${flag}`]] : [[`--${flag}`, text], [`--${flag}=${text}`]];
    if (short !== undefined) forms.push(value === undefined ? [`-${short}`] : [`-${short}`, text]);
    for (const form of forms) assertEquals(options(form), changed, form.join(" "));
  });

  Deno.test(`options: ${environmentName(OPTIONS[name])} is read, and a flag beats it`, () => {
    const environment = { [environmentName(OPTIONS[name])]: text };
    assertEquals(options([], environment), changed);
    const flags = value === undefined ? [`--${flag}`] : [`--${flag}`, text];
    assertEquals(options(flags, { [environmentName(OPTIONS[name])]: "nonsense" })[name], expected);
  });

  Deno.test(`options: --${flag} is in the help with its default`, () => {
    const line = helpText().split("\n").find((line) => line.slice(6).startsWith(`--${flag} `))!;
    assertStringIncludes(line, value === undefined ? `--${flag}` : `--${flag} ${value}`);
    if (value !== undefined) assertStringIncludes(line, `(${defaultText(OPTIONS[name] as OptionSpec<unknown>)})`);
  });
}

Deno.test("options: what is given wins over the defaults of --data, in the environment, too", () => {
  const given = ["--data", "d", "--ttl", "10m", "-Q", "7"];
  const environment = { MSGBUSD_MAX_TOPIC_BYTES: "2MiB" };
  const { ttlMs, maxMessages, maxTopicBytes } = options(given, environment);
  assertEquals([ttlMs, maxMessages, maxTopicBytes], [600_000, 7, 2 * 1024 ** 2]);
  assertEquals(limitsAmong(options(["--data", "d"])), { ...DEFAULT_LIMITS, ...WITH_DATA });
});

Deno.test("options: the help says both defaults, with and without --data", () => {
  const shown = helpText().split("\n").filter((line) => line.includes("; with --data ")).join("\n");
  for (const both of ["(1m; with --data 7d)", "(65536; with --data none)", "(64MiB; with --data 1GiB)"]) {
    assertStringIncludes(shown, both);
  }
});

Deno.test("options: -Q none is no limit", () => {
  assertEquals(options(["-Q", "none"]).maxMessages, Infinity);
  assertEquals(options(["--data", "d"], { MSGBUSD_MAX_QUEUE_SIZE: "none" }).maxMessages, Infinity);
});

Deno.test("options: check is asked for with a directory or a file, which may come from the environment", () => {
  const asked = (path: string, json = false) => ({ do: "check" as const, options: { path, json } });
  assertEquals(readOptions(["check", "--data", "d"], NOTHING), asked("d"));
  assertEquals(readOptions(["check", "--json", "--data=d"], NOTHING), asked("d", true));
  assertEquals(readOptions(["check", "a.db", "--json"], NOTHING), asked("a.db", true));
  assertEquals(readOptions(["check"], (name) => name === "MSGBUSD_DATA" ? "d" : undefined), asked("d"));
  assertEquals(readOptions(["check", "--help"], NOTHING), { do: "help" });
});

Deno.test("options: what may be repeated is collected, in the environment separated by commas", () => {
  assertEquals(options(["-b", "localhost:1", "--bind=[::1]:2"]).bind, ["localhost:1", "[::1]:2"]);
  const environment = { MSGBUSD_PUBLIC_HOST: "a.example, b.example", MSGBUSD_BIND: "localhost:1,:2" };
  assertEquals(options([], environment).publicHost, ["a.example", "b.example"]);
  assertEquals(options([], environment).bind, ["localhost:1", ":2"]);
});

Deno.test("options: a switch in the environment may be turned off", () => {
  for (const text of ["false", "0", "no", "off", ""]) {
    assertEquals(options([], { MSGBUSD_OPEN: text }).open, false, text);
  }
  for (const text of ["true", "1", "yes", "on"]) assertEquals(options([], { MSGBUSD_OPEN: text }).open, true, text);
});

/** Arguments that are refused, and why. */
const REFUSED: readonly (readonly [args: readonly string[], reason: string])[] = [
  [["--nonsense"], `Unknown flag "--nonsense"; see msgbusd --help`],
  [["--nonsense=1"], `Unknown flag "--nonsense=1"; see msgbusd --help`],
  [["-x"], `Unknown flag "-x"; see msgbusd --help`],
  [["-Dx"], `Unknown flag "-Dx"; see msgbusd --help`],
  [["--no-open"], `Unknown flag "--no-open"; see msgbusd --help`],
  [["serve"], `Unexpected argument "serve"; see msgbusd --help`],
  [["--debug", "serve"], `Unexpected argument "serve"; see msgbusd --help`],
  [["--", "serve"], `Unexpected argument "serve"`],
  [["--open=no"], `Bad "--open=no": the flag takes no value`],
  [["--trust-proxy=0"], `Bad "--trust-proxy=0": the flag takes no value`],
  [["-D=0"], `Bad "-D=0": the flag takes no value`],
  [["--ttl", "30s", "--ttl", "40s"], "Bad --ttl: given twice"],
  [["-Q", "1", "--max-queue-size", "2"], "Bad --max-queue-size: given twice"],
  [["--ttl"], `Bad --ttl: it is empty, not a duration such as 30s, from 0s to 3650d`],
  [["--ttl", "soon"], `Bad --ttl "soon": not a duration such as 30s, from 0s to 3650d`],
  [["--ttl", "3651d"], `Bad --ttl "3651d": not a duration such as 30s, from 0s to 3650d`],
  [["--topic-idle", "500ms"], `Bad --topic-idle "500ms": not a duration such as 30s, from 1s to 3650d`],
  [["-Q", "0"], `Bad --max-queue-size "0": not none, or a whole number from 1 to 1000000000`],
  [["-Q", "1e3"], `Bad --max-queue-size "1e3": not none, or a whole number from 1 to 1000000000`],
  [["--max-topics", "1000000001"], `Bad --max-topics "1000000001": not a whole number from 1 to 1000000000`],
  [["-P", "0"], `Bad --max-payload-size "0": not a size such as 1MiB, from 1 to 32MiB`],
  [["-P", "33MiB"], `Bad --max-payload-size "33MiB": not a size such as 1MiB, from 1 to 32MiB`],
  [["--max-memory", "1MB"], `Bad --max-memory "1MB": not a size such as 1MiB, from 1KiB to 1048576GiB`],
  [["--max-topic-bytes", "1"], `Bad --max-topic-bytes "1": not a size such as 1MiB, from 1KiB to 1048576GiB`],
  [["--metrics-topics", "1001"], `Bad --metrics-topics "1001": not a whole number from 0 to 1000`],
  [["--discard", "some"], `Bad --discard "some": not one of old, new`],
  [["--log-messages", "yes"], `Bad --log-messages "yes": not one of auto, on, off`],
  [["--log-format", "xml"], `Bad --log-format "xml": not one of text, json`],
  [["-b", "localhost"], `Bad --bind "localhost": not HOST:PORT with a port up to 65535`],
  [["-b", "localhost:65536"], `Bad --bind "localhost:65536": not HOST:PORT with a port up to 65535`],
  [["-b", "::1:80"], `Bad --bind "::1:80": not HOST:PORT with a port up to 65535`],
  [["-b", "http://localhost:80"], `Bad --bind "http://localhost:80": not HOST:PORT with a port up to 65535`],
  [["--public-host", "bus:1"], `Bad --public-host "bus:1": not a host name without a port`],
  [["--public-host", "face:8000"], `Bad --public-host "face:8000": not a host name without a port`],
  [["--public-host", "*"], `Bad --public-host "*": not a host name without a port`],
  [
    ["--allow-origin", "app.example"],
    `Bad --allow-origin "app.example": not an origin such as https://app.example, or *`,
  ],
  [
    ["--allow-origin", "https://a/"],
    `Bad --allow-origin "https://a/": not an origin such as https://app.example, or *`,
  ],
  [["--allow-origin", "null"], `Bad --allow-origin "null": not an origin such as https://app.example, or *`],
  [["--max-topics", "none"], `Bad --max-topics "none": not a whole number from 1 to 1000000000`],
  [["--acept-loss"], `Unknown flag "--acept-loss", did you mean --accept-loss?; see msgbusd --help`],
  [["--dta=d"], `Unknown flag "--dta=d", did you mean --data?; see msgbusd --help`],
  [["--data", ""], "Bad --data: it is empty, not a directory"],
  [["--data="], "Bad --data: it is empty, not a directory"],
  [["-b", "localhost:0", "check", "bus.db"], `Unexpected argument "check", it comes first; see msgbusd --help`],
  [["check", "--data", ""], "Bad --data: it is empty, not a directory"],
  [["check", "--jsn"], `Unknown flag "--jsn" of check, did you mean --json?; see msgbusd --help`],
  [["check"], "Cannot check: say what, as in msgbusd check --data DIR"],
  [["check", "--data", "a", "b"], `Unexpected argument "b" of check`],
  [["check", "--ttl", "1s"], `Unknown flag "--ttl" of check; see msgbusd --help`],
  [["--\u001b[2J"], `Unknown flag "--\\u001b[2J"; see msgbusd --help`],
];

for (const [args, reason] of REFUSED) {
  Deno.test(`options: ${JSON.stringify(args.join(" "))} is refused`, () => assertEquals(refusal(args), reason));
}

Deno.test("options: a bad value in the environment is refused, and the variable named", () => {
  assertEquals(refusal([], { MSGBUSD_OPEN: "maybe" }), `Bad MSGBUSD_OPEN "maybe": not true or false`);
  assertEquals(
    refusal([], { MSGBUSD_MAX_TOPICS: "many" }),
    `Bad MSGBUSD_MAX_TOPICS "many": not a whole number from 1 to 1000000000`,
  );
  assertEquals(refusal([], { MSGBUSD_DATA: "" }), "Bad MSGBUSD_DATA: it is empty, not a directory");
  assertEquals(
    refusal([], { MSGBUSD_BIND: "" }),
    "Bad MSGBUSD_BIND: it is empty, not HOST:PORT with a port up to 65535",
  );
});

Deno.test("options: help and version win over everything that can be read", () => {
  for (const args of [["--help"], ["-h"], ["-D", "--help", "--version"]]) {
    assertEquals(readOptions(args, NOTHING), { do: "help" });
  }
  for (const args of [["--version"], ["-v"], ["--ttl=nonsense", "-v"]]) {
    assertEquals(readOptions(args, NOTHING), { do: "version" });
  }
});

Deno.test("limitsAmong gives the bus its limits and nothing else", () => {
  assertEquals(limitsAmong(options([])), DEFAULT_LIMITS);
  assertEquals(limitsAmong(options(["--discard", "new", "-Q", "7"])), {
    ...DEFAULT_LIMITS,
    discard: "new",
    maxMessages: 7,
  });
});

Deno.test("splitAddress takes an address apart", () => {
  assertEquals(splitAddress("localhost:8000"), { host: "localhost", port: 8000 });
  assertEquals(splitAddress(":0"), { host: "", port: 0 });
  assertEquals(splitAddress("[::1]:65535"), { host: "::1", port: 65_535 });
  for (const text of ["", ":", "a", "[::1]", "a:b", "a:1:2", "[]:1", "a:-1", "a:1 ", "a b:1"]) {
    assertEquals(splitAddress(text), undefined, text);
  }
});
