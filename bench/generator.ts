/**
 * What makes the load: this project's own generator, or wrk where it is installed.
 *
 * @module
 */

import { Child } from "./child.ts";
import type { Load, LoadResult } from "./load.ts";
import { programOf } from "./server.ts";

/** Makes load, one at a time. */
export interface Generator extends AsyncDisposable {
  /** Drives a server. Throws an `Error` if an answer was no success. */
  drive(load: Load): Promise<LoadResult>;
}

const GRACE_MS = 15_000;

/** The generator in `load.ts`, which stays the same process, warm, from the first load to the last. */
export class OwnGenerator implements Generator {
  readonly #child = new Child({
    args: ["run", "--no-prompt", "--allow-net=127.0.0.1", programOf("./load.ts")],
    reads: "stdout",
  });

  async drive(load: Load): Promise<LoadResult> {
    await this.#child.tell(JSON.stringify(load));
    return JSON.parse(await this.#child.nextLine(load.ms + GRACE_MS));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** What wrk tells. */
export interface WrkResult extends LoadResult {
  /** The median of the time until an answer, in milliseconds. */
  readonly p50Ms: number;
  /** What one in a hundred exceeds. */
  readonly p99Ms: number;
}

/** The program wrk, started anew for each load. It can't tell what it used of the processor. */
export class Wrk implements Generator {
  async drive({ port, method, paths, body, connections, ms }: Load): Promise<WrkResult> {
    const seconds = Math.max(1, Math.round(ms / 1000));
    const script = new URL("./wrk.lua", import.meta.url).pathname;
    const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, `http://127.0.0.1:${port}`];
    await using child = new Child({ command: "wrk", args: [...args, "--", method, body, ...paths], reads: "stdout" });
    // Its own report comes first, then the line of the script.
    for (;;) {
      const line = await child.nextLine(ms + GRACE_MS);
      if (!line.startsWith("{")) continue;
      const { requests, failed, us, p50Us, p99Us } = JSON.parse(line);
      if (failed > 0) throw new Error(`wrk: ${failed} of ${requests} answers were no success`);
      return { requests, ms: us / 1000, p50Ms: p50Us / 1000, p99Ms: p99Us / 1000 };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
