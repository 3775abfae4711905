/**
 * The servers under test, each a process of its own.
 *
 * @module
 */

import { Child } from "./child.ts";
import { cpuMsOf, type Memory, memoryOf } from "./process.ts";

const START_DEADLINE_MS = 20_000;
const LISTENING = /listening on \S+:(\d+)/;

/** A server that listens on a free port of the loopback address. */
export class Server implements AsyncDisposable {
  /** Its port. */
  readonly port: number;
  readonly #child: Child;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts msgbusd as `deno task start` does, with all its defaults but the port and `flags`. */
  static msgbusd(...flags: string[]): Promise<Server> {
    return Server.#msgbusd([], flags);
  }

  /** Starts msgbusd in the same way, keeping what is published in a directory. */
  static durable(directory: string, ...flags: string[]): Promise<Server> {
    // The journal is kept by a worker, whose modules are read as any file is.
    const modules = new URL("..", import.meta.url).pathname;
    const permissions = [`--allow-read=${directory},${modules}`, `--allow-write=${directory}`];
    return Server.#msgbusd(permissions, [`--data=${directory}`, ...flags]);
  }

  static #msgbusd(permissions: readonly string[], flags: readonly string[]): Promise<Server> {
    return Server.#start([
      "--allow-net",
      "--allow-env=MSGBUSD_*,DENO_SERVE_ADDRESS",
      ...permissions,
      programOf("../main.ts"),
      "--bind=localhost:0",
      ...flags,
    ]);
  }

  /** Starts the bare server. */
  static bare(): Promise<Server> {
    return Server.#start(["--allow-net", programOf("./bare.ts")]);
  }

  /** Starts the server of one step, see `steps.ts`. */
  static step(name: string): Promise<Server> {
    return Server.#start(["--allow-net", programOf("./steps.ts"), name]);
  }

  static async #start(args: readonly string[]): Promise<Server> {
    const child = new Child({ args: ["run", "--no-prompt", ...args], reads: "stderr" });
    try {
      const port = await portOf(child);
      void child.forgetLines();
      return new Server(child, port);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The processor time all its threads have used, in milliseconds; `undefined` where there is no `/proc`. */
  cpuMs(): Promise<number | undefined> {
    return cpuMsOf(this.#child.pid);
  }

  /** The memory it occupies now, and the most it has occupied; `undefined` where there is no `/proc`. */
  memory(): Promise<Memory | undefined> {
    return memoryOf(this.#child.pid);
  }

  /** Stops it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** The port that a program says it listens on; it may say something else before. Throws an `Error` of that if it ends. */
async function portOf(child: Child): Promise<number> {
  const said: string[] = [];
  for (;;) {
    const line = await child.nextLine(START_DEADLINE_MS).catch((cause) => {
      throw new Error([...said, cause.message].join("\n"), { cause });
    });
    const port = LISTENING.exec(line)?.[1];
    if (port !== undefined) return Number(port);
    said.push(line);
  }
}

/** The path or URL of a program next to this one. */
export function programOf(relative: string): string {
  return new URL(relative, import.meta.url).href;
}
