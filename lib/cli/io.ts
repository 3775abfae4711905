/**
 * What a command reads and writes: standard input, output and error, the environment, signals.
 *
 * @module
 */

import { BusError, escapeControls } from "../errors.ts";
import { concat } from "../wire/concat.ts";
import { EXIT } from "./exit.ts";

/** The world of a command; tests bring their own. */
export interface Io {
  /** Standard input. */
  readonly stdin: ReadableStream<Uint8Array>;
  /**
   * Writes to standard output.
   *
   * @throws {OutputClosed} if nobody reads it any more.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes a line to standard error, after the name of the program. */
  say(line: string): void;
  /** Writes text to standard error as it is. */
  explain(text: string): void;
  /** Standard error, if it is a terminal, for what is drawn over again. */
  readonly terminal: Terminal | undefined;
  /** The value of an environment variable. */
  env(name: string): string | undefined;
  /**
   * Begins to listen for SIGINT and SIGTERM: the first aborts the signal, a second one ends the program at once. With
   * `hurry` the second one calls it, once, and the program ends by itself; a third one ends it at once.
   */
  listenForInterrupt(hurry?: () => void): Interruption;
}

/** A screen that somebody looks at. */
export interface Terminal {
  /** How many characters a line has. */
  readonly columns: number;
  /** Writes to it as it is. */
  draw(text: string): void;
}

/** See {@linkcode Io.listenForInterrupt}; listening ends when it is disposed. */
export interface Interruption extends Disposable {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** What the program ends with after a second signal; `undefined` before. */
  readonly exitCode: InterruptedCode | undefined;
}

/** Nobody reads standard output any more, as in `msgbus sub foo | head -1`: a reason to end, not a fault. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const encoder = new TextEncoder();

/** Writes text to standard output. */
export function writeText(io: Io, text: string): Promise<void> {
  return io.write(encoder.encode(text));
}

/** Reads standard input to its end, at most `maxBytes`. */
export async function readAll(io: Io, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of io.stdin) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new BusError("too_large", `Cannot publish standard input as one message: more than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return concat(chunks);
}

// A second signal of the same kind would otherwise end the program with these, too.
const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

type InterruptedCode = (typeof SIGNALS)[keyof typeof SIGNALS];

/** The world of the process. */
export const processIo: Io = {
  get stdin() {
    return Deno.stdin.readable;
  },
  async write(bytes) {
    try {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    } catch (cause) {
      if (cause instanceof Deno.errors.BrokenPipe) throw new OutputClosed();
      throw new BusError("internal", `Cannot write to standard output: ${(cause as Error).message}`, { cause });
    }
  },
  say: (line) => processIo.explain(`msgbus: ${escapeControls(line)}\n`),
  explain(text) {
    try {
      Deno.stderr.writeSync(encoder.encode(text));
    } catch {
      // Nobody reads it, and there is nowhere else to say so.
    }
  },
  get terminal() {
    if (!Deno.stderr.isTerminal()) return undefined;
    return {
      get columns() {
        try {
          return Deno.consoleSize().columns;
        } catch {
          return 80; // not one that tells
        }
      },
      draw: (text: string) => void Deno.stderr.writeSync(encoder.encode(text)),
    };
  },
  env: (name) => Deno.env.get(name),
  listenForInterrupt(hurry) {
    const interrupted = new AbortController();
    let exitCode: InterruptedCode | undefined;
    // SIGTERM doesn't exist on Windows.
    const signals = (Object.keys(SIGNALS) as (keyof typeof SIGNALS)[])
      .filter((signal) => signal === "SIGINT" || Deno.build.os !== "windows");
    const listeners = signals.map((signal) => {
      const listener = () => {
        if (!interrupted.signal.aborted) return interrupted.abort();
        if (hurry === undefined || exitCode !== undefined) Deno.exit(SIGNALS[signal]);
        exitCode = SIGNALS[signal];
        hurry();
      };
      Deno.addSignalListener(signal, listener);
      return () => Deno.removeSignalListener(signal, listener);
    });
    return {
      signal: interrupted.signal,
      get exitCode() {
        return exitCode;
      },
      [Symbol.dispose]: () => listeners.forEach((stop) => stop()),
    };
  },
};
