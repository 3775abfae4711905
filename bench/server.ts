/**
 * The servers under test, each a process of its own.
 *
 * @module
 */

import { Child } from "./child.ts";

const START_DEADLINE_MS = 20_000;
const LISTENING = /listening on \S+:(\d+)/;

/** Resident memory, in bytes. */
export interface Memory {
  /** Now. */
  readonly nowBytes: number;
  /** The most since it started. */
  readonly mostBytes: number;
}

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
    return Server.#start([
      "--allow-net",
      "--allow-env=MSGBUSD_*,DENO_SERVE_ADDRESS",
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
      const line = await child.nextLine(START_DEADLINE_MS);
      const port = LISTENING.exec(line)?.[1];
      if (port === undefined) throw new Error(line);
      void child.forgetLines();
      return new Server(child, Number(port));
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The processor time all its threads have used, in milliseconds; `undefined` where there is no `/proc`. */
  async cpuMs(): Promise<number | undefined> {
    const stat = await this.#proc("stat");
    return stat === undefined ? undefined : parseCpuMs(stat);
  }

  /** The memory it occupies now, and the most it has occupied; `undefined` where there is no `/proc`. */
  async memory(): Promise<Memory | undefined> {
    const status = await this.#proc("status");
    return status === undefined ? undefined : parseMemory(status);
  }

  /** What `/proc` says of it: only programs with every permission may read that, hence by `cat`. */
  async #proc(file: string): Promise<string | undefined> {
    try {
      const { success, stdout } = await new Deno.Command("cat", { args: [`/proc/${this.#child.pid}/${file}`] })
        .output();
      return success ? new TextDecoder().decode(stdout) : undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
      throw error;
    }
  }

  /** Stops it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

// Linux counts in ticks of 1/100 s on every common build, whatever the timer of the kernel.
const MS_PER_TICK = 10;

/** `utime` and `stime` of proc_pid_stat(5), fields 14 and 15; the name in field 2 may contain spaces. */
function parseCpuMs(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** `VmRSS` and `VmHWM` of proc_pid_status(5), in units of 1024 bytes. */
function parseMemory(status: string): Memory {
  const bytesOf = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  return { nowBytes: bytesOf("VmRSS"), mostBytes: bytesOf("VmHWM") };
}

/** The path or URL of a program next to this one. */
export function programOf(relative: string): string {
  return new URL(relative, import.meta.url).href;
}
