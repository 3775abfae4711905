/**
 * The life of the daemon: it drains on a signal, and it survives a bug, but not three in a minute.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import type { Log } from "../log.ts";

/** The exit codes of msgbusd; from 64 on they are those of sysexits.h. */
export const EXIT = {
  /** It drained, or did all that was asked. */
  drained: 0,
  /** What was kept is damaged, or of another program or a newer version. */
  damaged: 65,
  /** A bug. */
  bug: 70,
  /** The data directory can't be made or written. */
  unwritable: 73,
  /** The journal failed: the disk, or the thread that writes to it. */
  journalFailed: 74,
  /** The address is in use, or the data directory. */
  inUse: 75,
  /** The configuration is wrong, or the data directory is open to others. */
  configuration: 78,
} as const;

const DRAIN_DEADLINE_MS = 10_000;
const MAX_BUGS = 3;
const BUG_WINDOW_MS = 60_000;

/** Runs the daemon's end. */
export class Lifecycle {
  /** Aborts when draining begins. */
  readonly draining: AbortSignal;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #bugTimes: number[] = [];
  #inWork = 0;
  #onIdle: (() => void) | undefined;
  #exitCode: number = EXIT.drained;

  /** Makes the lifecycle, which does nothing yet. */
  constructor(log: Log) {
    this.#log = log;
    this.draining = this.#abort.signal;
  }

  /** Notes a bug: logs it with its stack; the third in a minute drains the daemon, which then exits with 70. */
  bug(error: unknown): void {
    const stack = error instanceof Error ? error.stack ?? error.message : String(error);
    this.#log.warn("bug", `bug: ${stack}`);
    const now = performance.now();
    this.#bugTimes = [...this.#bugTimes.filter((time) => now - time < BUG_WINDOW_MS), now];
    if (this.#bugTimes.length < MAX_BUGS) return;
    this.#exitCode = EXIT.bug;
    this.drain(`${MAX_BUGS} bugs within a minute`);
  }

  /** Counts the requests in work: `1` for one that begins, `-1` for one that is answered. */
  work(change: 1 | -1): void {
    this.#inWork += change;
    if (this.#inWork === 0) this.#onIdle?.();
  }

  /** Begins to drain; a second call does nothing. */
  drain(why: string): void {
    if (this.draining.aborted) return;
    this.#log.info("draining", `msgbusd draining: ${why}`);
    this.#abort.abort();
  }

  /** Catches errors that nothing else does, and the signals that end the daemon; the second signal ends it at once. */
  listen(): void {
    addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.bug(event.reason);
    });
    addEventListener("error", (event) => {
      event.preventDefault();
      this.bug(event.error);
    });
    for (const [signal, exitCode] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      // Windows has no SIGTERM.
      if (Deno.build.os === "windows" && signal === "SIGTERM") continue;
      Deno.addSignalListener(signal, () => {
        if (this.draining.aborted) Deno.exit(exitCode);
        this.drain(signal);
      });
    }
  }

  /**
   * Waits until draining begins, then ends subscriptions, lets requests in work finish for at most 10 s, closes the
   * bus, and returns the exit code.
   */
  async end(bus: MessageBus, servers: readonly { shutdown(): Promise<void> }[]): Promise<number> {
    if (!this.draining.aborted) {
      await new Promise((resolve) => this.draining.addEventListener("abort", resolve, { once: true }));
    }
    // Before the servers: an open subscription would keep a server waiting for ever.
    bus.drain();
    const idle = new Promise<void>((resolve) => this.#onIdle = resolve);
    if (this.#inWork === 0) this.#onIdle?.();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), DRAIN_DEADLINE_MS));
    // Not before the requests in work are answered: a server that shuts down reads no body to its end (Deno 2.9.6).
    const finished = idle.then(() => Promise.all(servers.map((server) => server.shutdown())));
    if (await Promise.race([finished, deadline]) === "late") {
      this.#log.warn("drain_deadline", `msgbusd gave up on connections still open after ${DRAIN_DEADLINE_MS / 1000} s`);
    }
    clearTimeout(timer);
    await bus.close();
    this.#log.info("drained", "msgbusd drained");
    return this.#exitCode;
  }
}
