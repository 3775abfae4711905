/**
 * A server that takes part: msgbusd or a peer of it.
 *
 * @module
 */

import { Child } from "../child.ts";
import { cpuMsOf, type Memory, memoryOf } from "../process.ts";
import type { Publication } from "./publisher.ts";
import type { SubscriptionPlan } from "./subscriber.ts";

/** The ways to subscribe that are compared. */
export type Way = "sse" | "ndjson" | "frame";

/** What can be started. */
export interface Contender {
  /** Its name in tables. */
  readonly name: string;
  /** How to get it, if it has to be got. */
  readonly install?: string;
  /** Starts it with its files in `directory`. Throws {@linkcode Missing} if it isn't there. */
  start(directory: string): Promise<RunningContender>;
}

/** Says that a program is not installed. */
export class Missing extends Error {
  /** Its name. */
  override readonly name = "Missing";
}

/** The parts of a {@linkcode RunningContender}. */
export interface RunningParts {
  /** Its name in tables. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** What it is configured to do, in a sentence. */
  readonly setting: string;
  /** The process, whose children count as part of it. */
  readonly pid: number;
  /** How to publish. */
  readonly publication: Publication;
  /** How to subscribe, in each way that it has. */
  readonly subscriptions: Partial<Record<Way, SubscriptionPlan>>;
  /** Ends it. */
  stop(): Promise<void>;
}

/** A contender that runs. */
export class RunningContender implements AsyncDisposable {
  readonly #parts: RunningParts;

  /** Takes over what was started. */
  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  /** Its name in tables. */
  get name(): string {
    return this.#parts.name;
  }

  /** Its version. */
  get version(): string {
    return this.#parts.version;
  }

  /** What it is configured to do, in a sentence. */
  get setting(): string {
    return this.#parts.setting;
  }

  /** How to publish. */
  get publication(): Publication {
    return this.#parts.publication;
  }

  /** How to subscribe in a way, if it has that. */
  subscription(way: Way): SubscriptionPlan | undefined {
    return this.#parts.subscriptions[way];
  }

  /** The processor time it has used, in milliseconds; `undefined` where there is no `/proc`. */
  cpuMs(): Promise<number | undefined> {
    return cpuMsOf(this.#parts.pid);
  }

  /** The memory it occupies; `undefined` where there is no `/proc`. */
  memory(): Promise<Memory | undefined> {
    return memoryOf(this.#parts.pid);
  }

  /** Stops it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.stop();
  }
}

/** Runs a program to its end and returns what it says. Throws {@linkcode Missing} if it isn't there. */
export async function ask(command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout, stderr } = await new Deno.Command(command, { args }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      throw new Missing(`${command} is not installed`, { cause: error });
    }
    throw error;
  }
}

/** Ports of the loopback address that were free just now. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}

const START_DEADLINE_MS = 10_000;
const RETRY_MS = 20;

/** Starts a program that says nothing when it listens, and returns when it does. */
export async function startListening(
  command: string,
  args: readonly string[],
  ports: readonly number[],
): Promise<Child> {
  const child = new Child({ command, args, reads: "stderr" });
  const deadline = performance.now() + START_DEADLINE_MS;
  try {
    for (const port of ports) {
      while (!await listens(port)) {
        if (performance.now() > deadline) throw new Error(`${command} doesn't listen on port ${port}`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
  void child.forgetLines();
  return child;
}

async function listens(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}
