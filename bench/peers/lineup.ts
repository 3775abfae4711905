/**
 * Who takes part in a measurement.
 *
 * @module
 */

import { type Contender, Missing, type RunningContender } from "./contender.ts";
import { MOSQUITTO } from "./mosquitto.ts";
import { MSGBUSD } from "./msgbusd.ts";
import { NATS_SERVER } from "./nats_server.ts";
import { NCHAN } from "./nchan.ts";

/** Everybody, msgbusd first. */
export const CONTENDERS: readonly Contender[] = [MSGBUSD, NCHAN, NATS_SERVER, MOSQUITTO];

/** What ran, and what it was told. */
export interface ServerDescription {
  /** Its name in tables. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** What it is configured to do. */
  readonly setting: string;
}

/** What is there of it. */
export interface Survey {
  /** Those that can be started. */
  readonly present: readonly (Contender & ServerDescription)[];
  /** Those that can't, and why. */
  readonly missing: readonly { readonly name: string; readonly install?: string; readonly why: string }[];
}

/** Starts each once to see who is there. */
export async function survey(contenders: readonly Contender[], directory: string): Promise<Survey> {
  const present = [];
  const missing = [];
  for (const contender of contenders) {
    try {
      await using running = await startContender(contender, directory);
      present.push({ ...contender, version: running.version, setting: running.setting });
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing.push({ name: contender.name, install: contender.install, why: error.message });
    }
  }
  return { present, missing };
}

/** Writes who ran as a list. */
export function formatServers(servers: readonly ServerDescription[]): string {
  return servers.map(({ name, version, setting }) => `- ${name} ${version}: ${setting}.\n`).join("");
}

/** Starts one with a directory of its own in `directory`. */
export async function startContender(contender: Contender, directory: string): Promise<RunningContender> {
  return await contender.start(await Deno.makeTempDir({ dir: directory }));
}

/** Several that run. */
export class Lineup implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  /** They. */
  readonly running: readonly RunningContender[];

  private constructor(stack: AsyncDisposableStack, running: readonly RunningContender[]) {
    this.#stack = stack;
    this.running = running;
  }

  /** Starts them all. */
  static async start(contenders: readonly Contender[], directory: string): Promise<Lineup> {
    await using stack = new AsyncDisposableStack();
    const running = [];
    for (const contender of contenders) running.push(stack.use(await startContender(contender, directory)));
    return new Lineup(stack.move(), running);
  }

  /** Stops them all. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
