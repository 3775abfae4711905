/**
 * msgbus from its arguments to its exit code.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { VERSION } from "../version.ts";
import { type Command, COMMON_FLAGS } from "./command.ts";
import { EXIT, EXIT_CODE, type ExitCode } from "./exit.ts";
import { suggestion } from "../suggestion.ts";
import { readCommandLine, type Switch } from "./flags.ts";
import { MESSAGE_FORMAT } from "./format.ts";
import { helpOf, overview } from "./help.ts";
import { type Io, OutputClosed, writeText } from "./io.ts";
import { pub } from "./pub.ts";
import { pull } from "./pull.ts";
import { sub, tail } from "./sub.ts";
import { backup } from "./backup.ts";
import { bench } from "./bench/bench.ts";
import { dead, groups, redrive } from "./groups.ts";
import { ack, extend, nack } from "./leases.ts";
import { reply, request } from "./request.ts";
import { cancel, scheduled } from "./scheduled.ts";
import { info, rm, topics } from "./topics.ts";
import { work } from "./work.ts";

/** All commands but `help`, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  pub,
  sub,
  tail,
  pull,
  work,
  ack,
  nack,
  extend,
  groups,
  dead,
  redrive,
  request,
  reply,
  scheduled,
  cancel,
  topics,
  info,
  rm,
  backup,
  bench,
];

const VERSION_FLAG: Switch = { short: "v", help: "print the version", initial: false };
const OVERVIEW_FLAGS = { ...COMMON_FLAGS, version: VERSION_FLAG };
// Before the command, flags that most commands have are taken, too, and handed on.
const LEADING_FLAGS = { ...OVERVIEW_FLAGS, format: MESSAGE_FORMAT };

/** Runs msgbus; says on standard error what goes wrong, in a line. */
export async function main(args: readonly string[], io: Io): Promise<ExitCode> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT.done;
    if (error instanceof BusError) {
      io.say(error.message);
      return EXIT_CODE[error.code];
    }
    if (error instanceof Deno.errors.NotCapable) {
      io.say(`Not permitted: ${error.message}`);
      return EXIT.failed;
    }
    throw error;
  }
}

async function dispatch(args: readonly string[], io: Io): Promise<ExitCode> {
  const { values, words, flagArguments } = readCommandLine(args, LEADING_FLAGS, {
    wordsBeforeRest: 1,
    help: "msgbus help",
    env: io.env,
  });
  const [word, ...rest] = words;
  if (values.version) return await print(io, `msgbus ${VERSION}\n`);
  if (word === "help") return await help(rest.find((argument) => !argument.startsWith("-")), io);
  if (word !== undefined) return await find(word).execute([...flagArguments, ...rest], io);
  if (values.help) return await help(undefined, io);
  io.explain(overview(COMMANDS, OVERVIEW_FLAGS));
  return EXIT.usage;
}

function find(word: string): Command {
  const command = COMMANDS.find(({ name, alias }) => name === word || alias === word);
  if (command !== undefined) return command;
  const names = [...COMMANDS.flatMap(({ name, alias = name }) => [name, alias]), "help"];
  const meant = suggestion(word, names);
  const hint = meant === undefined ? "" : `, did you mean ${meant}?`;
  throw new BusError("bad_option", `Unknown command ${quote(word)}${hint}; see msgbus help`);
}

async function help(word: string | undefined, io: Io): Promise<ExitCode> {
  if (word === undefined || word === "help") return await print(io, overview(COMMANDS, OVERVIEW_FLAGS));
  return await print(io, helpOf(find(word), COMMON_FLAGS));
}

async function print(io: Io, text: string): Promise<ExitCode> {
  await writeText(io, text);
  return EXIT.done;
}
