import { type ListFlag, readCommandLine, type Switch, type ValueFlag } from "../../lib/cli/flags.ts";
import { BusError } from "../../lib/errors.ts";
import { suggestion } from "../../lib/suggestion.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../deps.ts";

const FLAGS = {
  name: { short: "n", value: "X", help: "", env: "MSGBUS_NAME", initial: "initial", wanted: "a name", read: (x) => x },
  lines: { short: "l", help: "", initial: false },
  reconnect: { help: "", initial: true },
} satisfies Record<string, ValueFlag<string> | Switch>;

function read(
  args: string[],
  { wordsBeforeRest, env = {} }: { wordsBeforeRest?: number; env?: Record<string, string> } = {},
) {
  const { values, words } = readCommandLine(args, FLAGS, { wordsBeforeRest, help: "help", env: (name) => env[name] });
  return [values.name, values.lines, values.reconnect, ...words];
}

function faultOf(args: string[], env: Record<string, string> = {}): string {
  const error = assertThrows(() => read(args, { env }), BusError);
  assertEquals(error.code, "bad_option");
  return error.message;
}

Deno.test("readCommandLine finds flags before, between and after words", () => {
  assertEquals(read([]), ["initial", false, true]);
  assertEquals(read(["a", "--name", "x", "b", "--lines"]), ["x", true, true, "a", "b"]);
  assertEquals(read(["-n", "x", "-l", "a"]), ["x", true, true, "a"]);
  assertEquals(read(["--name=x=y", "--no-reconnect", "a"]), ["x=y", false, false, "a"]);
  assertEquals(read(["-ln", "x", "a"]), ["x", true, true, "a"]);
});

Deno.test("readCommandLine keeps words as they are", () => {
  assertEquals(read(["007", "1e3", "-", "", "true"]), ["initial", false, true, "007", "1e3", "-", "", "true"]);
  assertEquals(read(["--lines", "true", "--no-reconnect", "false"]), ["initial", true, false, "true", "false"]);
  assertEquals(read(["--name", "007", "--lines"]), ["007", true, true]);
});

Deno.test("readCommandLine takes everything after -- for words", () => {
  assertEquals(read(["a", "--", "--lines", "--", "-n"]), ["initial", false, true, "a", "--lines", "--", "-n"]);
});

Deno.test("readCommandLine takes everything after so many words for words", () => {
  assertEquals(read(["--lines", "a", "--name", "x", "b", "--lines", "--", "c"], { wordsBeforeRest: 2 }), [
    "x",
    true,
    true,
    "a",
    "b",
    "--lines",
    "--",
    "c",
  ]);
});

Deno.test("readCommandLine takes the environment when the flag is not given", () => {
  const env = { MSGBUS_NAME: "from there" };
  assertEquals(read([], { env })[0], "from there");
  assertEquals(read(["--name", "x"], { env })[0], "x");
  assertStringIncludes(faultOf([], { MSGBUS_NAME: "" }), "Bad MSGBUS_NAME: it needs a value, a name");
});

Deno.test("readCommandLine refuses unknown flags, missing values, and values given twice", () => {
  assertStringIncludes(faultOf(["--nmae", "x"]), 'Unknown flag "--nmae", did you mean --name?; see help');
  assertStringIncludes(faultOf(["--no-lines"]), 'Unknown flag "--no-lines"');
  assertStringIncludes(faultOf(["--reconnect"]), 'Unknown flag "--reconnect"');
  assertStringIncludes(faultOf(["-z"]), 'Unknown flag "-z"');
  assertStringIncludes(faultOf(["--lines=true"]), "it takes no value");
  assertStringIncludes(faultOf(["--name"]), "it needs a value");
  assertStringIncludes(faultOf(["--name", "--lines"]), "it needs a value");
  assertStringIncludes(faultOf(["--name", "x", "a", "-n", "y"]), "given twice");
});

Deno.test("suggestion finds what was probably meant, and nothing for what is far off", () => {
  assertEquals(suggestion("tpoics", ["pub", "topics"]), "topics");
  assertEquals(suggestion("xyzzy", ["pub", "topics"]), undefined);
});

Deno.test("readCommandLine collects a flag that may be given several times, and reads each", () => {
  const many = { short: "m", value: "X", help: "", many: true, initial: [], wanted: "digits" } as const;
  const flags = {
    numbers: { ...many, read: (text) => /^\d+$/.test(text) ? Number(text) : undefined } satisfies ListFlag<number>,
  };
  const numbers = (...args: string[]) =>
    readCommandLine(args, flags, { help: "help", env: () => undefined }).values.numbers;
  assertEquals(numbers(), []);
  assertEquals(numbers("--numbers", "1", "-m", "2", "--numbers=3"), [1, 2, 3]);
  const fault = (...args: string[]) => assertThrows(() => numbers(...args), BusError).message;
  assertEquals(fault("-m", "1", "-m", "x"), 'Bad --numbers "x": not digits; see help');
  assertEquals(fault("-m", "1", "-m"), "Bad --numbers: it needs a value, digits; see help");
});
