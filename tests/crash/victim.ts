/**
 * A msgbusd that is killed and started again on the same port and the same directory, as often as a test likes, while a
 * {@linkcode Crowd} goes on.
 *
 * ```ts
 * await using victim = await Victim.start(["--data", directory]);
 * const crowd = new Crowd({ history, place: victim, random });
 * crowd.start({ publishers: 8 });
 * await victim.kill(crowd);
 * await victim.revive(crowd);
 * ```
 *
 * @module
 */

import { assertClean } from "../history/checker.ts";
import type { Line, Settings } from "../history/history.ts";
import type { Crowd, Place } from "../history/recorder.ts";
import { lastingPort } from "../lasting_port.ts";
import { type Program, start } from "../processes.ts";

/** See the module. */
export class Victim implements Place, AsyncDisposable {
  /** Its port, always the same one. */
  readonly port: number;
  /** How long each start took, from the start of the process until it listened, in milliseconds. */
  readonly startsMs: number[] = [];
  readonly #args: readonly string[];
  #process: Program | undefined;
  #up = Promise.withResolvers<void>();

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** Starts msgbusd with these arguments, on loopback. */
  static async start(args: readonly string[]): Promise<Victim> {
    const victim = new Victim(lastingPort(), args);
    await victim.#start();
    return victim;
  }

  /** Resolves when it listens. */
  up(): Promise<void> {
    return this.#up.promise;
  }

  /** The process, as it is now. */
  get process(): Program {
    return this.#process!;
  }

  /** Kills it at once, with `kill -9`; resolves when it is gone. */
  async kill(crowd: Crowd): Promise<void> {
    await this.#end(crowd, "SIGKILL");
  }

  /** Tells it to end; resolves to its exit code. */
  async stop(crowd: Crowd): Promise<number> {
    return await this.#end(crowd, "SIGTERM");
  }

  /** Starts it again. */
  async revive(crowd: Crowd): Promise<void> {
    await this.#start({ onReady: () => crowd.back() });
  }

  /** Starts it again under a program that kills it sometime; resolves when that has happened. */
  async doom(crowd: Crowd, under: readonly string[]): Promise<void> {
    await this.#start({
      under,
      onReady: () => {
        crowd.back();
        // From now on it may be any moment.
        crowd.killed();
      },
    });
    await this.#process!.code;
    this.#up = Promise.withResolvers();
    await this.#ended();
  }

  async #start({ under, onReady = () => {} }: { under?: readonly string[]; onReady?: () => void } = {}): Promise<void> {
    const before = performance.now();
    this.#process = start("msgbusd", ["--bind", `127.0.0.1:${this.port}`, ...this.#args], { under });
    await this.#process.stderr.find("msgbusd listening on ");
    this.startsMs.push(performance.now() - before);
    onReady();
    this.#up.resolve();
  }

  async #end(crowd: Crowd, signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    this.#up = Promise.withResolvers();
    crowd.killed(signal === "SIGKILL" ? "kill" : "stop");
    this.#process!.kill(signal);
    return await this.#ended();
  }

  async #ended(): Promise<number> {
    const code = await this.#process!.code;
    await this.#process![Symbol.asyncDispose]();
    return code;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }
}

/** A server that drops nothing, and hands out again without end. */
export const KEEPS_ALL: Settings = {
  durable: true,
  ttlMs: 0,
  maxMessages: 0,
  maxAttempts: 0,
  dedupeWindowMs: 120_000,
  clockErrorMs: 50,
};

/** The arguments that make it one. */
export const KEEPS_ALL_ARGS: readonly string[] = ["--ttl", "0", "--max-attempts", "0"];

/** A directory that is gone when it is disposed. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "msgbus-crash-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Lets the clients work for a while; the moment is what these tests vary. */
export function work(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Checks a history; an error says with which seed it came about. */
export function assertCleanOf(seed: number, lines: readonly Line[]): void {
  try {
    assertClean(lines);
  } catch (error) {
    throw new Error(`SEED=${seed}: ${(error as Error).message}`);
  }
}

/** A number given as `--name=…` to a test. */
export function numberOf(name: string): number | undefined {
  const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  return given === undefined || given === "" ? undefined : Number(given);
}

/** The value that a share of all values doesn't exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? NaN;
}
