/**
 * The real programs, run as a person runs them.
 *
 * @module
 */

import { PROGRAMS } from "./tasks/programs.ts";

const ROOT = new URL("../", import.meta.url);

/** The permissions that the programs are released with. */
export const PROGRAM_PERMISSIONS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  PROGRAMS.map(({ name, permissions }) => [name, permissions]),
);
const encoder = new TextEncoder();

/** The arguments with which deno runs a program with the permissions it is released with, or others. */
function denoArguments(name: string, { permissions }: StartOptions): string[] {
  const program = PROGRAMS.find((program) => program.name === name)!;
  return ["run", "--quiet", ...permissions ?? program.permissions, new URL(program.entry, ROOT).href];
}

/** A program that runs; ended when it is disposed. */
export interface Program extends AsyncDisposable {
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** Writes to its standard input. */
  write(text: string | Uint8Array): Promise<void>;
  /** Ends its standard input. */
  end(): Promise<void>;
  /** Sends it a signal. */
  kill(signal: Deno.Signal): void;
  /** Its exit code, when it ends. */
  readonly code: Promise<number>;
}

/** The lines of an output. It is read at once, whether or not anybody asks for lines: a full pipe would stop the program. */
export class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #read: Promise<void>;
  #text = "";
  #ended = false;
  #bell = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    this.#read = this.#pump();
  }

  async #pump(): Promise<void> {
    while (!this.#ended) {
      const { done, value = "" } = await this.#reader.read();
      this.#ended = done;
      this.#text += value;
      this.#bell.resolve();
      this.#bell = Promise.withResolvers();
    }
  }

  /** The next line, without its end; `undefined` after the last. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0 || (this.#ended && this.#text !== "")) {
        const line = this.#text.slice(0, end >= 0 ? end : undefined);
        this.#text = this.#text.slice(line.length + 1);
        return line;
      }
      if (this.#ended) return undefined;
      await this.#bell.promise;
    }
  }

  /** The next line that contains `part`; throws if the output ends before. */
  async find(part: string): Promise<string> {
    const seen: string[] = [];
    for (let line = await this.next(); line !== undefined; line = await this.next()) {
      if (line.includes(part)) return line;
      seen.push(line);
    }
    throw new Error(`No line contains ${JSON.stringify(part)}: ${JSON.stringify(seen)}`);
  }

  /** All lines that are left, when the output has ended. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.next(); line !== undefined; line = await this.next()) lines.push(line);
    return lines;
  }

  /** Stops reading: nobody is there any more. */
  async close(): Promise<void> {
    await this.#reader.cancel();
    await this.#read;
  }
}

/** How to start a program. */
export interface StartOptions {
  readonly env?: Record<string, string>;
  readonly permissions?: readonly string[];
  /** A program and its arguments that runs it, such as strace. It must not get between it and its signals. */
  readonly under?: readonly string[];
}

/** Starts a program and doesn't wait for its end. */
export function start(name: "msgbus" | "msgbusd", args: readonly string[], options: StartOptions = {}): Program {
  const command = [...options.under ?? [], Deno.execPath()];
  const child = new Deno.Command(command[0]!, {
    args: [...command.slice(1), ...denoArguments(name, options), ...args],
    env: { NO_COLOR: "1", ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const stdout = new Lines(child.stdout);
  const stderr = new Lines(child.stderr);
  const ended = child.status;
  return {
    stdout,
    stderr,
    write: (text) => writer.write(typeof text === "string" ? encoder.encode(text) : Uint8Array.from(text)),
    end: () => writer.close(),
    kill: (signal) => child.kill(signal),
    code: ended.then(({ code }) => code),
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {}); // it may have ended, or not read
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await ended;
      await Promise.all([stdout.rest(), stderr.rest()]);
    },
  };
}

/** How a program ended, and what it wrote. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, not decoded. */
  readonly bytes: Uint8Array;
}

/** Runs msgbus to its end. */
export async function msgbus(
  args: readonly string[],
  options: StartOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...denoArguments("msgbus", options), ...args],
    env: { NO_COLOR: "1", ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { input = "" } = options;
  const writer = child.stdin.getWriter();
  const written = writer.write(typeof input === "string" ? encoder.encode(input) : Uint8Array.from(input))
    .then(() => writer.close()).catch(() => {}); // it need not read
  const { code, stdout, stderr } = await child.output();
  await written;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), bytes: stdout };
}

/** A msgbusd that runs. */
export interface Server extends Program {
  readonly uri: string;
  readonly port: number;
  /** Waits until there is another subscription to `topic`. */
  subscribed(topic: string): Promise<void>;
  /** Has it drain and end. */
  stop(): Promise<void>;
}

/** Starts msgbusd on loopback. */
export async function startServer(args: readonly string[] = [], port = 0): Promise<Server> {
  const program = start("msgbusd", ["--bind", `127.0.0.1:${port}`, "--log-messages", "on", ...args]);
  const line = await program.stderr.find("msgbusd listening on ");
  const bound = Number(line.slice(line.lastIndexOf(":") + 1));
  return {
    ...program,
    port: bound,
    uri: `http://127.0.0.1:${bound}`,
    subscribed: async (topic) => {
      while (!(await program.stderr.find("Subscribe id=")).endsWith(` topic=${topic}`));
    },
    async stop() {
      program.kill("SIGTERM");
      await program.code;
    },
  };
}

/** Makes a symbolic link. By a program, because Deno wants the permission to read and write everything for it. */
export async function symlink(target: string, path: string): Promise<void> {
  const { success } = await new Deno.Command("ln", { args: ["-s", target, path] }).output();
  if (!success) throw new Error(`Cannot link ${path} to ${target}`);
}
