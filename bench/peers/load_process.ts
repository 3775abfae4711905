/**
 * The load generator, seen from the process that gives it orders.
 *
 * @module
 */

import { Child } from "../child.ts";
import { programOf } from "../server.ts";
import type { Command } from "./load.ts";
import type { SessionPlan, SessionResult } from "./session.ts";

const GRACE_MS = 60_000;

/** The generator in `load.ts`, which stays the same process, warm, from the first load to the last. */
export class LoadProcess implements AsyncDisposable {
  readonly #child = new Child({
    args: ["run", "--no-prompt", "--allow-net=127.0.0.1", programOf("./peers/load.ts")],
    reads: "stdout",
  });

  /** Connects publishers and subscribers. */
  async open(plan: SessionPlan): Promise<void> {
    await this.#ask({ do: "open", plan }, GRACE_MS);
  }

  /** Each publisher publishes, waits for the acknowledgement, publishes again. */
  async publishInTurn(ms: number): Promise<SessionResult> {
    return await this.#ask({ do: "publish-in-turn", ms }, ms + GRACE_MS) as SessionResult;
  }

  /** The publishers together publish so many a second. */
  async publishSteadily(perSecond: number, ms: number): Promise<SessionResult> {
    return await this.#ask({ do: "publish-steadily", perSecond, ms }, ms + GRACE_MS) as SessionResult;
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await this.#ask({ do: "close" }, GRACE_MS);
  }

  async #ask(command: Command, deadlineMs: number): Promise<unknown> {
    await this.#child.tell(JSON.stringify(command));
    return JSON.parse(await this.#child.nextLine(deadlineMs));
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}
