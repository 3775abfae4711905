/**
 * The command that `msgbus sub` runs for each message.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { encodeEnvelope } from "../wire/json.ts";

/** The longest payload that is handed over in the environment: what every platform takes in one variable. */
export const MAX_VARIABLE_BYTES = 32_000;

const PAYLOAD_VARIABLE = "MSGBUS_PAYLOAD";
const encoder = new TextEncoder();

// As execvp(3) looks for it; what the shell exits with is what it exits with for a command it can't run. Deno itself could
// neither read PATH nor look into its directories without further permissions.
const LOOK_UP = `set -f
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] && exit; [ -e "$1" ] && exit 126; exit 127;;
esac
[ -n "$PATH" ] || exit 0
IFS=:
for dir in $PATH .; do [ -f "$dir/$1" ] && [ -x "$dir/$1" ] && exit; done
exit 127`;

/** What exit codes of a shell say of a command. */
const FAULTS: Readonly<Record<number, string>> = { 126: "it is not executable", 127: "no such command" };

/** How a command ended: `undefined` if well, else in words. */
export type Fault = string | undefined;

/** A command and its arguments. */
export class Hook {
  readonly #command: string;
  readonly #args: readonly string[];

  /** Runs nothing yet. */
  constructor(command: string, args: readonly string[]) {
    this.#command = command;
    this.#args = args;
    // One that an outer `msgbus sub` has set must not pass for that of a message without one.
    Deno.env.delete(PAYLOAD_VARIABLE);
  }

  /**
   * Finds out what can be known before there is a message to lose. A shell looks for the command; without one, or the
   * permission to run it, the first message tells.
   *
   * @throws {BusError} `bad_option` if there is no such command, or it may not be run.
   */
  async assertRunnable(): Promise<void> {
    const { state } = await Deno.permissions.request({ name: "run", command: this.#command });
    if (state !== "granted") throw this.#unable("Deno was not given --allow-run");
    if (Deno.build.os === "windows") return;
    if ((await Deno.permissions.query({ name: "run", command: "sh" })).state !== "granted") return;
    const code = await exitCodeOf("sh", ["-c", LOOK_UP, "sh", this.#command]);
    const fault = code === undefined ? undefined : FAULTS[code];
    if (fault !== undefined) throw this.#unable(fault);
  }

  /**
   * Runs the command for a message and waits for its end: the envelope and a newline on its standard input, id, topic
   * and payload in its environment. Its output and errors go where ours go.
   *
   * @throws {BusError} `bad_option` if there is no such command, or it may not be run.
   */
  async run(message: Message): Promise<Fault> {
    let child: Deno.ChildProcess;
    try {
      const env = { MSGBUS_ID: String(message.id), MSGBUS_TOPIC: message.topic.name, ...payloadVariable(message) };
      child = new Deno.Command(this.#command, { args: [...this.#args], env, stdin: "piped" }).spawn();
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        throw this.#unable("no such command", cause);
      }
      if (cause instanceof Deno.errors.PermissionDenied) {
        throw this.#unable("it is not executable", cause);
      }
      if (cause instanceof Deno.errors.NotCapable) {
        throw this.#unable("Deno was not given --allow-run", cause);
      }
      return `Cannot run ${quote(this.#command)}: ${(cause as Error).message}`;
    }
    await feed(child.stdin, encoder.encode(`${encodeEnvelope(message)}\n`));
    const { success, code, signal } = await child.status;
    if (success) return undefined;
    const how = signal === null ? `exit code ${code}` : signal;
    return `Command ${quote(this.#command)} failed on message ${message.id} of ${quote(message.topic.name)}: ${how}`;
  }

  #unable(fault: string, cause?: unknown): BusError {
    return new BusError("bad_option", `Cannot run ${quote(this.#command)}: ${fault}`, { cause });
  }
}

/** How a program ends that reads and writes nothing; `undefined` if there is none. */
async function exitCodeOf(program: string, args: string[]): Promise<number | undefined> {
  try {
    return (await new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).output()).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The payload as text, unless no variable can hold it: the envelope on standard input has it in any case. */
function payloadVariable(message: Message): Record<string, string> {
  if (message.payload.length > MAX_VARIABLE_BYTES || message.payload.includes(0)) return {};
  return { [PAYLOAD_VARIABLE]: message.text() };
}

/** Writes what the command reads. It need not read all of it, or anything. */
async function feed(stdin: WritableStream<Uint8Array<ArrayBuffer>>, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(bytes);
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
