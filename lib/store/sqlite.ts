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
import { BusError, quote } from "../errors.ts";
import type { MessageInit, TopicInfo } from "../message.ts";
import { ByteWriter } from "./bytes.ts";
import {
  combineChanges,
  combineDrops,
  writeAppend,
  writeCancel,
  writeDelay,
  writeDrop,
  writeForget,
  writeNote,
  writeRemove,
  writeTopic,
} from "./changes.ts";
import { JournalDirectory } from "./directory.ts";
import { errorOf, type JournalAnswer, type JournalFailure, type JournalQuestion } from "./journal_service.ts";
import { HerePort, type JournalListener, type JournalPort, WorkerPort } from "./journal_port.ts";
import type { OpenDatabase } from "./journal_file.ts";
import type { JournalContent } from "./loading.ts";
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

/** The most changes that may wait to be stored, and how much they may have in all. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 ** 2;
/** What a change is counted for beside its payloads. */
const CHANGE_BYTES = 256;
/** How often it is tried whether there is room again, in milliseconds. */
const PROBE_MS = 1000;
/**
 * How many reads of several messages the journal may be asked for at a time: who publishes waits for those. On this thread
 * each takes its time from the turn of the event loop, and is answered in it.
 */
const MAX_READS = { here: 1, worker: 4 };
/** How many turns of the event loop may bring more to what is about to be stored. */
const MAX_TURNS = 8;
/** How long the journal may not know what has left a log, in milliseconds. */
const DROP_MS = 200;

/** How long the disk may take to sync, and commits on average, as long as this thread waits for it, in milliseconds. */
const FAST_SYNC_MS = 2;
const SLOW_COMMIT_MS = 5;
/** How many commits that average is about. */
const AVERAGED_COMMITS = 32;

/** What the journal knows of a topic, as far as its changes are concerned. */
interface KnownTopic {
  readonly number: number;
  readonly info: TopicInfo;
  /** The id of the next message. */
  next: number;
  /** The tokens of what is to be appended later. */
  readonly scheduled: Set<string>;
}

type Opening = PromiseWithResolvers<JournalAnswer & { kind: "opened" }>;

/** A change that waits, or is on its way. */
interface Change {
  /** Writes it; returns what it is answered with. May throw, and then it alone is refused. */
  readonly write: (to: ByteWriter) => unknown;
  readonly bytes: number;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

/** What is on its way to the disk. */
interface Batch {
  readonly changes: readonly Change[];
  readonly answers: readonly unknown[];
  /** When it was sent, in milliseconds of `performance.now`. */
  readonly sentMs: number;
  /** What it changes here is changed back if it fails. */
  readonly undo: readonly (() => void)[];
}

/** Keeps everything in a SQLite database, in transactions of all changes that came while the one before was written. */
export class SqliteStore implements Store {
  readonly durability = "synced";
  readonly synchronous = false;
  readonly readsBack = true;
  readonly #options: SqliteStoreOptions;
  readonly #directory: JournalDirectory;
  #port: JournalPort;
  #content: JournalContent | undefined;
  /** The topics that the journal knows, by epoch, and by name. */
  readonly #topics = new Map<string, KnownTopic>();
  readonly #byName = new Map<string, KnownTopic>();
  #nextTopic = 1;
  #waiting: Change[] = [];
  #waitingBytes = 0;
  /** The notes that wait and to which later ones of their groups can be added. */
  #openNotes = new Map<TopicInfo, Map<string, GroupChange[]>>();
  #batch: Batch | undefined;
  #isSendPlanned = false;
  readonly #drops = new Map<TopicInfo, Dropped>();
  #dropTimer: ReturnType<typeof setTimeout> | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  #refusal: BusError | undefined;
  /** Why nothing can be stored any more. */
  #fatal: BusError | undefined;
  #undo: (() => void)[] = [];
  #asked = 0;
  /** How many reads the journal is asked for, and those whose turn has not come. */
  #reading = 0;
  readonly #readsToCome: (() => void)[] = [];
  readonly #questions = new Map<number, PromiseWithResolvers<never>>();
  #closing: Promise<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #ended = Promise.withResolvers<void>();

  /** Settles when the journal is open. */
  #opening: Opening | undefined;
  /** How long commits take on average, in milliseconds. */
  #commitMs = 0;
  /** What is to be asked when the journal has moved to its worker; `undefined` if it isn't moving. */
  #moving: (() => void)[] | undefined;

  private constructor(options: SqliteStoreOptions, directory: JournalDirectory) {
    this.#options = options;
    this.#directory = directory;
    const { thread = "measured" } = options;
    const isHere = thread === "measured" ? directory.measureSync() < FAST_SYNC_MS : thread === "here";
    this.#port = isHere ? new HerePort(this.#listener, options.openDatabase) : this.#worker();
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
      store.#port.end();
      directory.close();
      throw error;
    }
  }

  /** Why no change can be made now, such as a full disk; `undefined` if one can be tried. */
  get refusal(): BusError | undefined {
    return this.#fatal ?? this.#refusal;
  }

  readonly #listener: JournalListener = {
    answered: (answer) => this.#answered(answer),
    died: (message) => this.#died(new BusError("store_failed", `The journal has failed: ${message}`)),
  };

  #worker(): JournalPort {
    return new WorkerPort(this.#options.workerUrl ?? new URL("./journal_worker.ts", import.meta.url), this.#listener);
  }

  async #start(): Promise<void> {
    const { content, lost } = await this.#openJournal(this.#options.acceptLoss ?? false);
    this.#content = content;
    this.#nextTopic = content.nextTopic;
    if (lost !== undefined) this.#options.onWarning?.({ kind: "loss", message: lost });
  }

  #openJournal(acceptLoss: boolean): Promise<JournalAnswer & { kind: "opened" }> {
    const { database: path, head: headPath } = this.#directory.paths;
    const opening: Opening = this.#opening = Promise.withResolvers();
    this.#port.ask({ kind: "open", options: { path, headPath, acceptLoss, nowMs: this.#nowMs() } }, []);
    return opening.promise;
  }

  #nowMs(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #ask(question: JournalQuestion, transfer: Transferable[] = []): void {
    if (this.#moving === undefined) this.#port.ask(question, transfer);
    else this.#moving.push(() => this.#port.ask(question, transfer));
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
      const { number, info, next, lostMs, limit, start, length, ttlMs, groups, answers } = topic;
      this.#enter({ number, info, next, scheduled: new Set(topic.delayed.map(({ token }) => token)) });
      const index = {
        ids: content.ids.subarray(start, start + length),
        createdMs: content.createdMs.subarray(start, start + length),
        bytes: content.bytes.subarray(start, start + length),
        ttlMs,
      };
      const delayed = topic.delayed.map((message) => ({ ...message, topic: info }));
      return { info, next, index, lostMs, limit, groups, delayed, answers };
    });
    return { startedMs, lastCreatedMs, topics, gone, goneFromMs };
  }

  /** See `Store.append`. Rejects with `overloaded`, `seq_mismatch`, `disk_full`, `store_failed`, `already_closed`. */
  append(append: Append): Promise<number> {
    let bytes = CHANGE_BYTES;
    for (const payload of append.payloads) bytes += payload.length;
    if (append.settles !== undefined) this.#openNotes.get(append.settles.topic)?.delete(append.settles.change.group);
    return this.#gather(bytes, (to) => this.#writeAppend(to, append));
  }

  /** See `Store.note`. Several notes of a group that wait together are written as one. */
  note(topic: TopicInfo, change: GroupChange): Promise<void> {
    const open = this.#openNotes.get(topic)?.get(change.group);
    // What is refused here must not be where a later one is added.
    const refusal = this.#refuses();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (open !== undefined) {
      open.push(change);
      return this.#gather(CHANGE_BYTES, () => {});
    }
    const changes = [change];
    let ofTopic = this.#openNotes.get(topic);
    if (ofTopic === undefined) this.#openNotes.set(topic, ofTopic = new Map());
    ofTopic.set(change.group, changes);
    return this.#gather(CHANGE_BYTES, (to) => writeNote(to, this.#numberOf(to, topic), combineChanges(changes)));
  }

  /** See `Store.forget`. */
  forget(topic: TopicInfo, group: string): Promise<void> {
    this.#openNotes.get(topic)?.delete(group);
    return this.#gather(CHANGE_BYTES, (to) => {
      const known = this.#topics.get(topic.epoch);
      if (known !== undefined) writeForget(to, known.number, group);
    });
  }

  /** See `Store.delay`. */
  delay(message: DelayedMessage): Promise<void> {
    const { topic, payload } = message;
    return this.#gather(CHANGE_BYTES + payload.length, (to) => {
      const { number, scheduled } = this.#know(to, topic);
      writeDelay(to, number, message);
      scheduled.add(message.token);
      this.#undo.push(() => scheduled.delete(message.token));
    });
  }

  /** See `Store.cancel`. Rejects with `no_scheduled`, and as {@linkcode SqliteStore.append}. */
  cancel(topic: TopicInfo, token: string): Promise<void> {
    return this.#gather(CHANGE_BYTES, (to) => {
      const known = this.#unschedule(topic, token);
      writeCancel(to, known.number, token);
    });
  }

  /** See `Store.remove`. */
  remove(topic: TopicInfo, newestMs: number): Promise<void> {
    this.#openNotes.delete(topic);
    this.#drops.delete(topic);
    return this.#gather(CHANGE_BYTES, (to) => {
      const known = this.#topics.get(topic.epoch);
      if (known === undefined) return;
      this.#writeRemove(to, known, newestMs);
    });
  }

  /** See `Store.drop`. */
  drop(topic: TopicInfo, dropped: Dropped): void {
    if (this.#closing !== undefined || this.#fatal !== undefined) return;
    const earlier = this.#drops.get(topic);
    this.#drops.set(topic, earlier === undefined ? dropped : combineDrops(earlier, dropped));
    if (this.#dropTimer !== undefined) return;
    this.#dropTimer = setTimeout(() => {
      this.#dropTimer = undefined;
      this.#gatherDrops();
    }, DROP_MS);
    Deno.unrefTimer(this.#dropTimer);
  }

  /** See `Store.read`. Rejects with `store_failed`, `already_closed`. */
  async read(
    topic: TopicInfo,
    ids: { readonly first: number; readonly last: number },
  ): Promise<readonly MessageInit[]> {
    // A single message may be about to be dropped; reading it is little work.
    if (ids.first === ids.last) return await this.#read(topic, ids);
    if (this.#reading >= MAX_READS[this.#port.isHere ? "here" : "worker"]) {
      await new Promise<void>((resolve) => this.#readsToCome.push(resolve));
    } else this.#reading++;
    try {
      return await this.#read(topic, ids);
    } finally {
      const next = this.#readsToCome.shift();
      if (next === undefined) this.#reading--;
      // Not in this turn: a journal that is on this thread has answered at once, and others have their turn, too.
      else setImmediate(next);
    }
  }

  async #read(
    topic: TopicInfo,
    { first, last }: { readonly first: number; readonly last: number },
  ): Promise<readonly MessageInit[]> {
    const known = this.#topics.get(topic.epoch);
    if (known === undefined) return [];
    const { buffer, damaged } = await this.#question<JournalAnswer & { kind: "read" }>((ask) => {
      return { kind: "read", ask, topic: known.number, first, last };
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
    const { failure } = await this.#question<JournalAnswer & { kind: "copied" }>((ask) => ({
      kind: "backup",
      ask,
      path,
    }));
    if (failure !== undefined) throw errorOf(failure);
  }

  /** Stores what waits, and ends; a second call does nothing. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#dropTimer);
    clearTimeout(this.#probeTimer);
    if (this.#refusal === undefined && this.#fatal === undefined) this.#gatherDrops();
    if (this.#waiting.length > 0 || this.#batch !== undefined) {
      this.#idle = Promise.withResolvers();
      this.#send();
      await this.#idle.promise;
    }
    if (this.#fatal === undefined) {
      this.#ask({ kind: "close" });
      await this.#ended.promise;
    }
    this.#port.end();
    this.#directory.close();
    const closed = new BusError("already_closed", "Cannot use the journal: it is closed");
    for (const { reject } of this.#questions.values()) reject(closed);
    this.#questions.clear();
  }

  #question<T>(questionOf: (ask: number) => JournalQuestion): Promise<T> {
    const refusal = this.#closing === undefined
      ? this.#fatal
      : new BusError("already_closed", "Cannot use the journal: it is closed");
    if (refusal !== undefined) return Promise.reject(refusal);
    const ask = this.#asked++;
    const question = Promise.withResolvers<never>();
    this.#questions.set(ask, question);
    this.#ask(questionOf(ask));
    return question.promise;
  }

  /** Why nothing is taken now. */
  #refuses(): BusError | undefined {
    if (this.#closing !== undefined) return new BusError("already_closed", "Cannot store: the journal is closed");
    if (this.refusal !== undefined) return this.refusal;
    if (this.#waiting.length < MAX_WAITING && this.#waitingBytes < MAX_WAITING_BYTES) return undefined;
    return new BusError("overloaded", `Cannot store: ${this.#waiting.length} changes wait for the disk`);
  }

  #gather<T>(bytes: number, write: (to: ByteWriter) => T): Promise<T> {
    const refusal = this.#refuses();
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      this.#sendSoon();
    });
  }

  /** Sends what waits soon, unless something is on its way: then it is sent when that is there. */
  #sendSoon(): void {
    if (this.#batch !== undefined || this.#isSendPlanned) return;
    this.#isSendPlanned = true;
    this.#sendAfter(0, MAX_TURNS);
  }

  /** Sends what waits when a turn of the event loop has brought nothing more: a commit costs as much as many publishes. */
  #sendAfter(count: number, turns: number): void {
    setImmediate(() => {
      const { length } = this.#waiting;
      if (length > count && turns > 1) this.#sendAfter(length, turns - 1);
      else this.#send();
    });
  }

  #send(): void {
    this.#isSendPlanned = false;
    if (this.#batch !== undefined || this.#moving !== undefined || this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    const to = new ByteWriter(this.#waitingBytes);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#openNotes.clear();
    this.#undo = [];
    const changes: Change[] = [];
    const answers: unknown[] = [];
    for (const change of waiting) {
      const { length } = to;
      const done = this.#undo.length;
      try {
        answers.push(change.write(to));
        changes.push(change);
      } catch (error) {
        // Nothing of it is left.
        to.cut(length);
        while (this.#undo.length > done) this.#undo.pop()!();
        change.reject(error);
      }
    }
    this.#batch = { changes, answers, undo: this.#undo, sentMs: performance.now() };
    const batch = to.finish();
    this.#ask({ kind: "apply", batch, nowMs: this.#nowMs() }, [batch]);
  }

  /** Writes an append. Ids are assigned here: what was to come before may have been refused. */
  #writeAppend(to: ByteWriter, append: Append): number {
    const { topic, expectedId, exact, payloads } = append;
    const next = this.#topics.get(topic.epoch)?.next ?? 0;
    if (exact && expectedId !== next) {
      throw new BusError(
        "seq_mismatch",
        `Cannot append to ${quote(topic.name)} at ${expectedId}: the next id is ${next}`,
      );
    }
    if (append.scheduled !== undefined) this.#unschedule(topic, append.scheduled);
    const known = this.#know(to, topic);
    writeAppend(to, known.number, next, append, (other) => this.#topics.get(other.epoch)?.number);
    known.next = next + payloads.length;
    this.#undo.push(() => known.next = next);
    return next;
  }

  /** Takes note that a message is not to be appended later any more. */
  #unschedule(topic: TopicInfo, token: string): KnownTopic {
    const known = this.#topics.get(topic.epoch);
    if (known === undefined || !known.scheduled.delete(token)) {
      throw new BusError("no_scheduled", `Nothing in ${quote(topic.name)} is to be published later as ${quote(token)}`);
    }
    this.#undo.push(() => known.scheduled.add(token));
    return known;
  }

  #numberOf(to: ByteWriter, topic: TopicInfo): number {
    return this.#know(to, topic).number;
  }

  /** The topic as the journal knows it; it is told of it if it doesn't. */
  #know(to: ByteWriter, info: TopicInfo): KnownTopic {
    const known = this.#topics.get(info.epoch);
    if (known !== undefined) return known;
    const other = this.#byName.get(info.name);
    // The bus forgets a topic that never had a message without a word.
    if (other !== undefined) this.#writeRemove(to, other, -Infinity);
    const topic = { number: this.#nextTopic++, info, next: 0, scheduled: new Set<string>() };
    writeTopic(to, topic.number, info);
    this.#enter(topic);
    this.#undo.push(() => this.#leave(topic));
    return topic;
  }

  #writeRemove(to: ByteWriter, topic: KnownTopic, newestMs: number): void {
    writeRemove(to, topic.number, newestMs);
    this.#leave(topic);
    this.#undo.push(() => this.#enter(topic));
  }

  #enter(topic: KnownTopic): void {
    this.#topics.set(topic.info.epoch, topic);
    this.#byName.set(topic.info.name, topic);
  }

  #leave({ info: { epoch, name } }: KnownTopic): void {
    this.#topics.delete(epoch);
    this.#byName.delete(name);
  }

  /** As one change, however many topics there are: publishers need the room of those that may wait. */
  #gatherDrops(): void {
    if (this.#drops.size === 0) return;
    const drops = [...this.#drops];
    this.#drops.clear();
    this.#gather(CHANGE_BYTES, (to) => {
      for (const [topic, dropped] of drops) {
        const known = this.#topics.get(topic.epoch);
        if (known !== undefined) writeDrop(to, known.number, dropped);
      }
    }).catch(() => {
      // What is refused is told again with what comes later.
      for (const [topic, dropped] of drops) this.drop(topic, dropped);
    });
  }

  #answered(answer: JournalAnswer): void {
    switch (answer.kind) {
      case "opened":
        return this.#opened((opening) => opening.resolve(answer));
      case "applied":
        return this.#applied(answer.failure);
      case "probed":
        return answer.failure === undefined ? this.#heal() : this.#probeLater();
      case "read":
      case "copied": {
        this.#questions.get(answer.ask)?.resolve(answer as never);
        this.#questions.delete(answer.ask);
        return;
      }
      case "failed":
        return this.#died(errorOf(answer.failure));
      case "closed":
        if (answer.failure !== undefined) return this.#fail(errorOf(answer.failure));
        return this.#moving === undefined ? this.#ended.resolve() : void this.#open();
    }
  }

  /** Tells those who wait for a batch, after what has gathered meanwhile is on its way. */
  #applied(failure: JournalFailure | undefined): void {
    const { changes, answers, undo, sentMs } = this.#batch!;
    this.#batch = undefined;
    if (failure !== undefined) {
      for (let at = undo.length; at-- > 0;) undo[at]!();
      const error = errorOf(failure);
      this.#refuseUntilHealed(error);
      for (const { reject } of changes) reject(error);
    } else {
      const tookMs = performance.now() - sentMs;
      this.#commitMs += (tookMs - this.#commitMs) / AVERAGED_COMMITS;
      if (this.#commitMs > SLOW_COMMIT_MS) this.#move();
      this.#send();
      this.#options.onCommit?.({ seconds: tookMs / 1000, changes: changes.length });
      for (let at = 0; at < changes.length; at++) changes[at]!.resolve(answers[at] as never);
    }
    if (this.#batch === undefined) this.#idle?.resolve();
  }

  /** Has a worker wait for the disk from now on, if nobody waits for an answer of the journal. */
  #move(): void {
    if (!this.#port.isHere || this.#questions.size > 0 || this.#closing !== undefined) return;
    this.#moving = [];
    const message = `Commits take ${this.#commitMs.toFixed(1)} ms on average: a worker waits for the disk from now on`;
    this.#options.onWarning?.({ kind: "slow", message });
    this.#port.ask({ kind: "close" }, []);
  }

  /** Goes on in a worker with what was closed here. */
  async #open(): Promise<void> {
    this.#port.end();
    this.#port = this.#worker();
    try {
      await this.#openJournal(false);
    } catch (error) {
      return this.#fail(error as BusError);
    }
    const asked = this.#moving!;
    this.#moving = undefined;
    for (const ask of asked) ask();
    this.#send();
  }

  /** What could not be opened was never there; of what was, nothing is certain any more. */
  #died(error: BusError): void {
    if (this.#opening === undefined) this.#fail(error);
    else this.#opened((opening) => opening.reject(error));
  }

  #opened(settle: (opening: Opening) => void): void {
    const opening = this.#opening!;
    this.#opening = undefined;
    settle(opening);
  }

  /** Refuses everything, what waits included, until there is room again. */
  #refuseUntilHealed(error: BusError): void {
    this.#refusal = error;
    this.#options.onWarning?.({ kind: "full", message: error.message });
    this.#rejectWaiting(error);
    this.#probeLater();
  }

  #rejectWaiting(error: BusError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#openNotes.clear();
    for (const { reject } of waiting) reject(error);
  }

  #probeLater(): void {
    if (this.#closing !== undefined) return;
    this.#probeTimer = setTimeout(() => this.#ask({ kind: "probe" }), PROBE_MS);
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
    clearTimeout(this.#dropTimer);
    clearTimeout(this.#probeTimer);
    const changes = this.#batch?.changes ?? [];
    this.#batch = undefined;
    for (const { reject } of changes) reject(failure);
    this.#rejectWaiting(failure);
    for (const { reject } of this.#questions.values()) reject(failure);
    this.#questions.clear();
    this.#idle?.resolve();
    this.#ended.resolve();
    this.#options.onFatal?.(failure);
  }
}
