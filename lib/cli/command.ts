/**
 * What a command is: a table from which its arguments are read, its help is written, and which says what it does.
 *
 * @module
 */

import { Client } from "../client/client.ts";
import { BusError, quote } from "../errors.ts";
import { canonicalTopicName } from "../topic_name.ts";
import type { ExitCode } from "./exit.ts";
import { type Flags, readCommandLine, type Switch, type ValueFlag, type Values } from "./flags.ts";
import { helpOf } from "./help.ts";
import { type Io, writeText } from "./io.ts";

/** The flags of every command. */
export const COMMON_FLAGS = {
  uri: {
    short: "u",
    value: "URI",
    help: "where the bus is",
    env: "MSGBUS_URI",
    initial: "http://localhost:8000",
    wanted: "a URI such as http://localhost:8000",
    // As curl does.
    read: (text) => /^(https?:|[a-z][a-z0-9+.-]*:\/\/)/i.test(text) ? text : `http://${text}`,
  } satisfies ValueFlag<string>,
  help: { short: "h", help: "print this help", initial: false } satisfies Switch,
};

/** What describes a command, apart from what it does. */
export interface CommandInfo {
  /** What it is called. */
  readonly name: string;
  /** What the original calls it. */
  readonly alias?: string;
  /** Its arguments, for example `<topic> [message…]`. */
  readonly synopsis: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** What else there is to know: paragraphs of lines. */
  readonly description: string;
  /** Command lines that show it. */
  readonly examples: readonly string[];
  /** Its flags, besides {@linkcode COMMON_FLAGS}. */
  readonly flags: Flags;
  /** How many words it takes, the topic included. */
  readonly words: readonly [min: number, max: number];
  /** Checks the first word, before anything is read or asked. Default: it is the name of a topic. */
  readonly checkFirst?: (word: string) => void;
  /** How many words until flags are words, too. Default: flags may stand anywhere. */
  readonly wordsBeforeRest?: number;
}

/** A command. */
export interface Command extends CommandInfo {
  /** Does it with these arguments. */
  execute(args: readonly string[], io: Io): Promise<ExitCode>;
}

/** What a command gets to work with. */
export interface Invocation<F extends Flags> {
  /** The values of its flags. */
  readonly values: Values<F>;
  /** The arguments that are not flags. */
  readonly words: readonly string[];
  /** The bus. */
  readonly client: Client;
  /** Where it reads and writes. */
  readonly io: Io;
}

/** Makes a command of its table and what it does. */
export function defineCommand<F extends Flags>(
  info: CommandInfo & { readonly flags: F },
  run: (invocation: Invocation<F>) => Promise<ExitCode>,
): Command {
  return {
    ...info,
    async execute(args, io) {
      const { name, synopsis, words: [min, max], wordsBeforeRest } = info;
      const help = `msgbus help ${name}`;
      const flags = { ...COMMON_FLAGS, ...info.flags };
      const { values, words } = readCommandLine(args, flags, { wordsBeforeRest, help, env: io.env });
      if (values.help) {
        await writeText(io, helpOf(info, COMMON_FLAGS));
        return 0;
      }
      if (words.length < min) {
        throw new BusError("bad_option", `Too few arguments: msgbus ${name} ${synopsis}; see ${help}`);
      }
      if (words.length > max) {
        throw new BusError("bad_option", `Unexpected argument ${quote(words[max]!)} of ${name}; see ${help}`);
      }
      const { checkFirst = canonicalTopicName } = info;
      if (min > 0) checkFirst(words[0]!);
      const client = new Client(values.uri as string);
      return await run({ values: values as unknown as Values<F>, words, client, io });
    },
  };
}
