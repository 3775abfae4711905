/**
 * The journal as its store holds it: opened, asked, moved to a worker if the disk turns out to be slow, and closed.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { JournalDirectory } from "./directory.ts";
import type { OpenDatabase } from "./journal_file.ts";
import { HerePort, type JournalListener, type JournalPort, WorkerPort } from "./journal_port.ts";
import {
  errorOf,
  type JournalAnswer,
  type JournalFailure,
  type JournalQuestion,
  type NumberedAnswer,
} from "./journal_service.ts";

/** How long the disk may take to sync, and commits on average, as long as this thread waits for it, in milliseconds. */
const FAST_SYNC_MS = 2;
const SLOW_COMMIT_MS = 5;
/** How many commits that average is about. */
const AVERAGED_COMMITS = 32;

/** How a {@linkcode JournalConnection} is made. */
export interface ConnectionOptions {
  /** Where the journal is; it stays open. */
  readonly directory: JournalDirectory;
  /** See `SqliteStoreOptions`. */
  readonly thread?: "measured" | "here" | "worker" | undefined;
  /** See `SqliteStoreOptions`. */
  readonly workerUrl?: string | URL | undefined;
  /** See `SqliteStoreOptions`. */
  readonly openDatabase?: OpenDatabase | undefined;
  /** What time it is, in milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
}

/** Who is told what the journal answers. */
export interface ConnectionListener {
  /** A batch is on the disk, or nothing of it has happened. */
  applied(failure: JournalFailure | undefined): void;
  /** There is room, or there isn't. */
  probed(failure: JournalFailure | undefined): void;
  /** Another question is answered. */
  answered(answer: NumberedAnswer): void;
  /** It is in its worker, and has been asked what was to be asked meanwhile. */
  moved(): void;
  /** What was asked and not answered is not known to have happened, and nothing can be asked any more. */
  failed(error: BusError): void;
}

type Opened = JournalAnswer & { kind: "opened" };

/** A connection to a journal. */
export class JournalConnection {
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  #port: JournalPort;
  /** Settles when the journal is open. */
  #opening: PromiseWithResolvers<Opened> | undefined;
  /** How long commits take on average, in milliseconds. */
  #commitMs = 0;
  /** What is to be asked when the journal has moved to its worker; `undefined` if it isn't moving. */
  #moving: (() => void)[] | undefined;
  readonly #ended = Promise.withResolvers<void>();

  /** Makes one that is to be opened first. */
  constructor(options: ConnectionOptions, listener: ConnectionListener) {
    this.#options = options;
    this.#listener = listener;
    const { thread = "measured", directory, openDatabase } = options;
    const isHere = thread === "measured" ? directory.measureSync() < FAST_SYNC_MS : thread === "here";
    this.#port = isHere ? new HerePort(this.#portListener, openDatabase) : this.#worker();
  }

  readonly #portListener: JournalListener = {
    answered: (answer) => this.#answered(answer),
    died: (message) => this.#died(new BusError("store_failed", `The journal has failed: ${message}`)),
  };

  #worker(): JournalPort {
    const url = this.#options.workerUrl ?? new URL("./journal_worker.ts", import.meta.url);
    return new WorkerPort(url, this.#portListener);
  }

  /**
   * Opens the journal; `acceptLoss` as for `SqliteStoreOptions`.
   *
   * @throws {BusError} as `SqliteStore.create`.
   */
  open(acceptLoss: boolean): Promise<Opened> {
    const { directory: { paths }, nowMs } = this.#options;
    const opening = this.#opening = Promise.withResolvers<Opened>();
    const options = { path: paths.database, headPath: paths.head, acceptLoss, nowMs: nowMs() };
    this.#port.ask({ kind: "open", options }, []);
    return opening.promise;
  }

  /** Asks; the answer may come before this returns. */
  ask(question: JournalQuestion, transfer: Transferable[] = []): void {
    if (this.#moving === undefined) this.#port.ask(question, transfer);
    else this.#moving.push(() => this.#port.ask(question, transfer));
  }

  /** Whether it is on this thread, which waits for it then. */
  get isHere(): boolean {
    return this.#port.isHere;
  }

  /** Takes note of how long a commit took, in milliseconds. */
  noteCommit(tookMs: number): void {
    this.#commitMs += (tookMs - this.#commitMs) / AVERAGED_COMMITS;
  }

  /** Whether commits take so long that a worker should wait for them. */
  get isSlowHere(): boolean {
    return this.#commitMs > SLOW_COMMIT_MS && this.#port.isHere;
  }

  /** How long commits take on average, in milliseconds. */
  get commitMs(): number {
    return this.#commitMs;
  }

  /** Has a worker wait for the disk from now on. The journal must be here, and must owe no answer. */
  move(): void {
    this.#moving = [];
    this.#port.ask({ kind: "close" }, []);
  }

  /** Goes on in a worker with what was closed here. */
  async #goOn(): Promise<void> {
    this.#port.end();
    this.#port = this.#worker();
    try {
      await this.open(false);
    } catch (error) {
      return this.#fail(error as BusError);
    }
    const asked = this.#moving!;
    this.#moving = undefined;
    for (const ask of asked) ask();
    this.#listener.moved();
  }

  /** Closes the journal; resolves when it is, or has failed. */
  close(): Promise<void> {
    this.ask({ kind: "close" });
    return this.#ended.promise;
  }

  /** Lets go of the journal. What was not closed is left as it is. */
  end(): void {
    this.#port.end();
  }

  #answered(answer: JournalAnswer): void {
    switch (answer.kind) {
      case "opened":
        return this.#takeOpening().resolve(answer);
      case "applied":
        return this.#listener.applied(answer.failure);
      case "probed":
        return this.#listener.probed(answer.failure);
      case "read":
      case "copied":
        return this.#listener.answered(answer);
      case "failed":
        return this.#died(errorOf(answer.failure));
      case "closed":
        if (answer.failure !== undefined) return this.#fail(errorOf(answer.failure));
        return this.#moving === undefined ? this.#ended.resolve() : void this.#goOn();
    }
  }

  /** What could not be opened was never there; of what was, nothing is certain any more. */
  #died(error: BusError): void {
    if (this.#opening === undefined) this.#fail(error);
    else this.#takeOpening().reject(error);
  }

  #takeOpening(): PromiseWithResolvers<Opened> {
    const opening = this.#opening!;
    this.#opening = undefined;
    return opening;
  }

  #fail(error: BusError): void {
    this.#ended.resolve();
    this.#listener.failed(error);
  }
}
