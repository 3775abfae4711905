/**
 * The command that `msgbus sub` and `msgbus work` run for each message.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { encodeEnvelope } from "../wire/json.ts";

/** The longest payload that is handed over in the environment: what every platform takes in one variable. */
export const MAX_VARIABLE_BYTES = 32_000;

const encoder = new TextEncoder();

/** The group that a message is of; only `msgbus work` knows. */
export const GROUP_VARIABLE = "MSGBUS_GROUP";

/** What a command finds in its environment, as far as the message has it. */
const VARIABLES = {
  MSGBUS_TOPIC: ({ topic }) => topic.name,
  MSGBUS_ID: ({ id }) => String(id),
  MSGBUS_CURSOR: ({ cursor }) => cursor,
  MSGBUS_CREATED: ({ createdMs }) => new Date(createdMs).toISOString(),
  MSGBUS_EXPIRES: ({ expiresMs }) => expiresMs === Infinity ? undefined : new Date(expiresMs).toISOString(),
  MSGBUS_KEY: ({ key }) => key,
  MSGBUS_CONTENT_TYPE: ({ contentType }) => contentType,
  MSGBUS_HEADERS: ({ headers }) => JSON.stringify(headers),
  MSGBUS_REPLY_TO: ({ headers }) => headers["msgbus-reply-to"],
  MSGBUS_ATTEMPT: ({ attempt }) => attempt === undefined ? undefined : String(attempt),
  MSGBUS_LEASE: ({ lease }) => lease,
  // The payload as text, unless no variable can hold it: standard input has it in any case.
  MSGBUS_PAYLOAD: (message) =>
    message.payload.length > MAX_VARIABLE_BYTES || message.payload.includes(0) ? undefined : message.text(),
} as const satisfies Record<string, (message: Message) => string | undefined>;

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

/** How a run of a command ended: with a code, by a signal, or before it could begin. */
export type HookEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "killed"; readonly signal: string }
  | { readonly kind: "not run"; readonly fault: string };

/** What a command is, and what it is told. */
export interface HookOptions {
  /** The command. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** The base URI of the bus, for the command's own use of msgbus. */
  readonly uri: string;
  /** What it reads: the envelope and a newline, or the payload as it is. */
  readonly input: "envelope" | "payload";
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A command that is run for messages. */
export class Hook {
  readonly #options: HookOptions;
  readonly #running = new Set<Deno.ChildProcess>();

  /** Runs nothing yet. */
  constructor(options: HookOptions) {
    this.#options = options;
    // What an outer msgbus has set must not pass for that of a message without it.
    for (const name of [...Object.keys(VARIABLES), GROUP_VARIABLE]) Deno.env.delete(name);
  }

  /**
   * Finds out what can be known before there is a message to lose. A shell looks for the command; without one, or the
   * permission to run it, the first message tells.
   *
   * @throws {BusError} `bad_option` if there is no such command, or it may not be run.
   */
  async assertRunnable(): Promise<void> {
    const { command } = this.#options;
    const { state } = await Deno.permissions.request({ name: "run", command });
    if (state !== "granted") throw this.#unable("Deno was not given --allow-run");
    if (Deno.build.os === "windows") return;
    if ((await Deno.permissions.query({ name: "run", command: "sh" })).state !== "granted") return;
    const code = await exitCodeOf("sh", ["-c", LOOK_UP, "sh", command]);
    const fault = code === undefined ? undefined : FAULTS[code];
    if (fault !== undefined) throw this.#unable(fault);
  }

  /**
   * Runs the command for a message and waits for its end. Its output and errors go where ours go. Asks it to end, by
   * SIGTERM, when the signal aborts.
   *
   * @throws {BusError} `bad_option` if there is no such command, or it may not be run.
   */
  async run(message: Message, signal?: AbortSignal): Promise<HookEnd> {
    const { command, args, input } = this.#options;
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(command, { args: [...args], env: this.#environmentOf(message), stdin: "piped" }).spawn();
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
      return { kind: "not run", fault: (cause as Error).message };
    }
    const terminate = () => kill(child, "SIGTERM");
    this.#running.add(child);
    if (signal?.aborted) terminate();
    else signal?.addEventListener("abort", terminate);
    try {
      await feed(child.stdin, input === "envelope" ? encoder.encode(`${encodeEnvelope(message)}\n`) : message.payload);
      const status = await child.status;
      if (status.signal !== null) return { kind: "killed", signal: status.signal };
      return { kind: "exited", code: status.code };
    } finally {
      signal?.removeEventListener("abort", terminate);
      this.#running.delete(child);
    }
  }

  /** How many run now. */
  get running(): number {
    return this.#running.size;
  }

  /** Kills what runs. */
  kill(): void {
    for (const child of this.#running) kill(child, "SIGKILL");
  }

  /** What went wrong with a message, in a line. */
  faultOf(message: Message, end: HookEnd): string {
    const { command } = this.#options;
    const how = end.kind === "exited" ? `exit code ${end.code}` : end.kind === "killed" ? end.signal : end.fault;
    if (end.kind === "not run") return `Cannot run ${quote(command)}: ${how}`;
    return `Command ${quote(command)} failed on message ${message.id} of ${quote(message.topic.name)}: ${how}`;
  }

  #environmentOf(message: Message): Record<string, string> {
    const { uri, env } = this.#options;
    const values = Object.entries(VARIABLES).map(([name, of]) => [name, of(message)]);
    return {
      ...Object.fromEntries(values.filter(([, value]) => value !== undefined)),
      ...env,
      MSGBUS_URI: uri,
    };
  }

  #unable(fault: string, cause?: unknown): BusError {
    return new BusError("bad_option", `Cannot run ${quote(this.#options.command)}: ${fault}`, { cause });
  }
}

/** Sends a signal to a process, if it is there still. */
function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
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

/** Writes what the command reads. It need not read all of it, or anything. */
async function feed(stdin: WritableStream<Uint8Array<ArrayBuffer>>, bytes: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  try {
    if (bytes.length > 0) await writer.write(bytes as Uint8Array<ArrayBuffer>);
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
