/**
 * The store of a bus that keeps its messages in a journal on the disk.
 *
 * @module
 */

import type {
  Append,
  DelayedMessage,
  Dropped,
  GroupChange,
  Store,
  Stored,
  StoredTopic,
  StoreListener,
} from "../bus/store.ts";
import { BusError } from "../errors.ts";
import type { MessageInit, TopicInfo } from "../message.ts";
import { JournalDirectory } from "./directory.ts";
import { Gathering } from "./gathering.ts";
import { JournalConnection } from "./journal_connection.ts";
import type { OpenDatabase } from "./journal_file.ts";
import { errorOf, type JournalAnswer, type JournalFailure } from "./journal_service.ts";
import { KnownTopics } from "./known_topics.ts";
import { LateDrops } from "./late_drops.ts";
import type { JournalContent } from "./loading.ts";
import { Questions } from "./questions.ts";
import { decodeMessages } from "./read_back.ts";

export { checkJournal, type JournalReport } from "./check.ts";
export type { OpenDatabase } from "./journal_file.ts";
export { isJournalWorker, serveJournal } from "./journal_service.ts";

/** How a {@linkcode SqliteStore} is opened. */
export interface SqliteStoreOptions {
  /** Where the journal is; made if there is nothing. Nobody else may use it, this user's other processes included. */
  readonly directory: string;
  /**
   * Whether to go on with what is left if something that was acknowledged is missing; all topics have new epochs then, so
   * that their readers are told. Default `false`.
   */
  readonly acceptLoss?: boolean | undefined;
  /** The module that keeps the journal in a worker, for programs of a single file. See `serveJournal`. */
  readonly workerUrl?: string | URL | undefined;
  /**
   * Where the journal is kept at first. `here`: on this thread, which waits for the disk then; as soon as commits take more
   * than 5 ms on average, it moves to a worker. `worker`: there, where nothing but answers waits for the disk, though each
   * commit takes longer. `measured`: here if the disk syncs within 2 ms, else in a worker. Default `measured`.
   */
  readonly thread?: "measured" | "here" | "worker" | undefined;
  /** How the database is opened on this thread. Default: as the platform does. Tests give one that fails. */
  readonly openDatabase?: OpenDatabase | undefined;
  /** Told once when nothing can be stored any more; whoever runs the bus should end it. */
  readonly onFatal?: ((error: BusError) => void) | undefined;
  /** Told of what is wrong and hinders nothing. */
  readonly onWarning?: ((warning: StoreWarning) => void) | undefined;
  /** Told of every transaction: how long it took until it was on the disk, and how many changes it had. */
  readonly onCommit?: ((commit: { readonly seconds: number; readonly changes: number }) => void) | undefined;
  /** What time it is, in milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** What a store has to say. */
export type StoreWarning =
  /** Something that was acknowledged is missing, which was accepted. */
  | { readonly kind: "loss"; readonly message: string }
  /** Messages of a topic can't be read any more. */
  | { readonly kind: "damaged"; readonly topic: string; readonly ids: readonly number[] }
  /** There is no room for changes, from now on, or there is again; or the disk is so slow that a worker waits for it now. */
  | { readonly kind: "full" | "healed" | "slow"; readonly message: string };

/** How often it is tried whether there is room again, in milliseconds. */
const PROBE_MS = 1000;

/** Keeps everything in a SQLite database, in transactions of all changes that came while the one before was written. */
export class SqliteStore implements Store {
  readonly durability = "synced";
  readonly synchronous = false;
  readonly readsBack = true;
  readonly #options: SqliteStoreOptions;
  readonly #directory: JournalDirectory;
  readonly #journal: JournalConnection;
  readonly #topics = new KnownTopics();
  readonly #gathering: Gathering;
  readonly #drops: LateDrops;
  readonly #questions: Questions;
  /** What the journal had, until the bus has it. */
  #content: JournalContent | undefined;
  #refusal: BusError | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Why nothing can be stored any more. */
  #fatal: BusError | undefined;
  #closing: Promise<void> | undefined;
  /** Resolved when nothing waits any more, once it is closing. */
  #idle: PromiseWithResolvers<void> | undefined;

  private constructor(options: SqliteStoreOptions, directory: JournalDirectory) {
    this.#options = options;
    this.#directory = directory;
    this.#journal = new JournalConnection({ ...options, directory, nowMs: () => this.#nowMs() }, {
      applied: (failure) => this.#applied(failure),
      probed: (failure) => failure === undefined ? this.#heal() : this.#probeLater(),
      answered: (answer) => this.#questions.answered(answer),
      moved: () => this.#gathering.resume(),
      failed: (error) => this.#fail(error),
    });
    this.#gathering = new Gathering({
      topics: this.#topics,
      refusal: () => this.#refuses(),
      send: (batch) => this.#journal.ask({ kind: "apply", batch, nowMs: this.#nowMs() }, [batch]),
    });
    this.#drops = new LateDrops((drops) => this.#gathering.add(0, (to) => this.#topics.writeDrops(to, drops)));
    this.#questions = new Questions(this.#journal);
  }

  /**
   * Opens the journal of a directory, both made if need be.
   *
   * @throws {BusError} `store_unwritable`: the directory or a file can't be made, opened or written; `store_exposed`: others
   * may use them; `store_locked`: another process does; `store_damaged`: something that was acknowledged is missing, or it
   * is another program's or a newer one's; `disk_full`; `store_failed`.
   */
  static async create(options: SqliteStoreOptions): Promise<SqliteStore> {
    const directory = await JournalDirectory.open(options.directory);
    const store = new SqliteStore(options, directory);
    try {
      await store.#start();
      return store;
    } catch (error) {
      store.#journal.end();
      directory.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { content, lost } = await this.#journal.open(this.#options.acceptLoss ?? false);
    this.#content = content;
    this.#topics.load(content);
    if (lost !== undefined) this.#options.onWarning?.({ kind: "loss", message: lost });
  }

  #nowMs(): number {
    return this.#options.now?.() ?? Date.now();
  }

  /** Why no change can be made now, such as a full disk; `undefined` if one can be tried. */
  get refusal(): BusError | undefined {
    return this.#fatal ?? this.#refusal;
  }

  /** Why no change is taken now. */
  #refuses(): BusError | undefined {
    if (this.#closing !== undefined) return new BusError("already_closed", "Cannot store: the journal is closed");
    return this.refusal;
  }

  /**
   * See `Store.open`. Nobody else appends here, so nobody is ever told of that.
   *
   * @throws {BusError} `already_closed`: it was opened before.
   */
  open(_listener?: StoreListener): Stored {
    const content = this.#content;
    if (content === undefined) {
      throw new BusError(
        "already_closed",
        "Cannot open the store: a bus was opened on it before; make one for each bus",
      );
    }
    this.#content = undefined;
    const { startedMs, lastCreatedMs, goneFromMs, gone } = content;
    const topics = content.topics.map((topic): StoredTopic => {
      const { info, next, before, lostMs, limit, start, length, ttlMs, groups, answers } = topic;
      const index = {
        ids: content.ids.subarray(start, start + length),
        createdMs: content.createdMs.subarray(start, start + length),
        bytes: content.bytes.subarray(start, start + length),
        ttlMs,
      };
      const delayed = topic.delayed.map((message) => ({ ...message, topic: info }));
      return { info, next, index, before, lostMs, limit, groups, delayed, answers };
    });
    return { startedMs, lastCreatedMs, topics, gone, goneFromMs };
  }

  /** See `Store.append`. Rejects with `overloaded`, `seq_mismatch`, `disk_full`, `store_failed`, `already_closed`. */
  append(append: Append): Promise<number> {
    const { payloads, settles } = append;
    let bytes = 0;
    for (const payload of payloads) bytes += payload.length;
    if (settles !== undefined) this.#gathering.endNote(settles.topic, settles.change.group);
    return this.#gathering.add(bytes, (to) => this.#topics.writeAppend(to, append));
  }

  /** See `Store.note`. Several notes of a group that wait together are written as one. */
  note(topic: TopicInfo, change: GroupChange): Promise<void> {
    return this.#gathering.note(topic, change);
  }

  /** See `Store.forget`. */
  forget(topic: TopicInfo, group: string): Promise<void> {
    this.#gathering.endNote(topic, group);
    return this.#gathering.add(0, (to) => this.#topics.writeForget(to, topic, group));
  }

  /** See `Store.delay`. */
  delay(message: DelayedMessage): Promise<void> {
    return this.#gathering.add(message.payload.length, (to) => this.#topics.writeDelay(to, message));
  }

  /** See `Store.cancel`. Rejects with `no_scheduled`, and as {@linkcode SqliteStore.append}. */
  cancel(topic: TopicInfo, token: string): Promise<void> {
    return this.#gathering.add(0, (to) => this.#topics.writeCancel(to, topic, token));
  }

  /** See `Store.remove`. */
  remove(topic: TopicInfo, newestMs: number): Promise<void> {
    this.#gathering.endNotes(topic);
    this.#drops.forget(topic);
    return this.#gathering.add(0, (to) => this.#topics.writeRemove(to, topic, newestMs));
  }

  /** See `Store.drop`. */
  drop(topic: TopicInfo, dropped: Dropped): void {
    this.#drops.add(topic, dropped);
  }

  /** See `Store.read`. Rejects with `store_failed`, `already_closed`. */
  async read(
    topic: TopicInfo,
    ids: { readonly first: number; readonly last: number },
  ): Promise<readonly MessageInit[]> {
    // A single message may be about to be dropped; reading it is little work.
    if (ids.first === ids.last) return await this.#read(topic, ids);
    return await this.#questions.inTurn(() => this.#read(topic, ids));
  }

  async #read(
    topic: TopicInfo,
    { first, last }: { readonly first: number; readonly last: number },
  ): Promise<readonly MessageInit[]> {
    const number = this.#topics.numberOf(topic);
    if (number === undefined) return [];
    this.#assertUsable();
    const { buffer, damaged } = await this.#questions.ask<JournalAnswer & { kind: "read" }>((ask) => {
      return { kind: "read", ask, topic: number, first, last };
    });
    if (damaged.length > 0) this.#options.onWarning?.({ kind: "damaged", topic: topic.name, ids: damaged });
    return decodeMessages(buffer);
  }

  /**
   * Writes a copy of everything to a file that is not there yet. To restore it, put it into an empty directory as
   * `journal.db`; all topics have new epochs then.
   *
   * @throws {BusError} `store_unwritable`, `disk_full`, `store_failed`, `already_closed`.
   */
  async backup(path: string): Promise<void> {
    this.#assertUsable();
    const { failure } = await this.#questions.ask<JournalAnswer & { kind: "copied" }>((ask) => {
      return { kind: "backup", ask, path };
    });
    if (failure !== undefined) throw errorOf(failure);
  }

  #assertUsable(): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** Stores what waits, and ends; a second call does nothing. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#drops.end();
    if (this.refusal === undefined) this.#drops.flush();
    if (!this.#gathering.isIdle) {
      this.#idle = Promise.withResolvers();
      this.#gathering.send();
      await this.#idle.promise;
    }
    // Only now: what was sent last may have found the disk full.
    clearTimeout(this.#probeTimer);
    if (this.#fatal === undefined) await this.#journal.close();
    this.#journal.end();
    this.#directory.close();
    this.#questions.rejectAll(closedError());
  }

  /** Tells those who wait for a batch, after what has gathered meanwhile is on its way. */
  #applied(failure: JournalFailure | undefined): void {
    const batch = this.#gathering.take()!;
    if (failure !== undefined) {
      const error = errorOf(failure);
      this.#topics.undo();
      this.#refuseUntilHealed(error);
      batch.reject(error);
    } else {
      const tookMs = performance.now() - batch.sentMs;
      this.#journal.noteCommit(tookMs);
      if (this.#journal.isSlowHere) this.#move();
      this.#gathering.send();
      this.#options.onCommit?.({ seconds: tookMs / 1000, changes: batch.size });
      batch.resolve();
    }
    if (this.#gathering.isIdle) this.#idle?.resolve();
  }

  /** Has a worker wait for the disk from now on, if nobody waits for an answer of the journal. */
  #move(): void {
    if (!this.#questions.isEmpty || this.#closing !== undefined) return;
    this.#gathering.pause();
    this.#journal.move();
    const averageMs = this.#journal.commitMs.toFixed(1);
    const message = `Commits take ${averageMs} ms on average: a worker waits for the disk from now on`;
    this.#options.onWarning?.({ kind: "slow", message });
  }

  /** Refuses everything, what waits included, until there is room again. */
  #refuseUntilHealed(error: BusError): void {
    this.#refusal = error;
    this.#options.onWarning?.({ kind: "full", message: error.message });
    this.#gathering.rejectWaiting(error);
    this.#probeLater();
  }

  #probeLater(): void {
    if (this.#closing !== undefined) return;
    this.#probeTimer = setTimeout(() => this.#journal.ask({ kind: "probe" }), PROBE_MS);
    Deno.unrefTimer(this.#probeTimer);
  }

  #heal(): void {
    this.#refusal = undefined;
    this.#options.onWarning?.({ kind: "healed", message: "There is room again" });
  }

  /** Ends everything: of what was asked and not answered nothing is known, and nothing more is tried. */
  #fail(error: BusError): void {
    if (this.#fatal !== undefined) return;
    const failure = error.code === "store_failed"
      ? error
      : new BusError("store_failed", error.message, { cause: error });
    this.#fatal = failure;
    this.#drops.end();
    clearTimeout(this.#probeTimer);
    this.#gathering.take()?.reject(failure);
    this.#gathering.rejectWaiting(failure);
    this.#questions.rejectAll(failure);
    this.#idle?.resolve();
    this.#options.onFatal?.(failure);
  }
}

function closedError(): BusError {
  return new BusError("already_closed", "Cannot use the journal: it is closed");
}
