/**
 * The journal: takes batches of changes, each in one transaction, and reads messages back. It runs in a worker, and without
 * one where there is nothing else to do.
 *
 * @module
 */

import { MAX_GONE_TOPICS } from "../bus/gone_topics.ts";
import { retainedBytes } from "../bus/limits.ts";
import type { Dropped, GroupChange, StoredAnswer } from "../bus/store.ts";
import { BusError, quote } from "../errors.ts";
import type { TopicInfo } from "../message.ts";
import { backupTo } from "./backup.ts";
import { ByteReader } from "./bytes.ts";
import {
  type AppendChange,
  CHANGE,
  decodeAttributes,
  readAppend,
  readDelayed,
  readDrop,
  readGroupChange,
  readInfo,
} from "./changes.ts";
import { EntryWriter } from "./entries.ts";
import { rangesOf } from "./id_ranges.ts";
import { HeadFile } from "./head_file.ts";
import { failureOf, type JournalFile, openingFailureOf } from "./journal_file.ts";
import { JournalTopic } from "./journal_topic.ts";
import type { Leftovers } from "./leftovers.ts";
import type { JournalContent, Loaded } from "./loading.ts";
import { type JournalOptions, openChecked } from "./opening.ts";
import { type ReadMessages, readMessages } from "./reading.ts";
import { ANSWER, GONE, GROUP, HOLE, SCHEDULED, STATE, type StateRow, TOPIC, UNACKED } from "./rows.ts";
import { prepareStatements, type Statements } from "./statements.ts";

/** A journal that was opened, and what it has. */
export interface OpenedJournal {
  readonly journal: Journal;
  readonly content: JournalContent;
  /** What was lost, as a sentence, if something was and that is accepted. */
  readonly lost: string | undefined;
}

const PAGE_BYTES = 4096;
/** What a commit writes into the log beside its messages, roughly. */
const COMMIT_BYTES = 4 * PAGE_BYTES;
/** How large the log may become before it is moved to its place. */
const CHECKPOINT_BYTES = 4 * 1024 ** 2;
/** How often it is looked whether the file is in its place, in milliseconds. */
const LOOK_MS = 1000;
/** How many answers are forgotten in one transaction, at most. */
const MAX_FORGOTTEN_ANSWERS = 256;
/** What is given back in one go, in pages; and how many may be free, and which part of the file, before any is. */
const VACUUM_PAGES = 256;
const MAX_FREE_PAGES = 4096;
const MAX_FREE_PART = 0.25;
/** How many rows say what is missing in the middle of a topic, before they are made one. */
const MAX_HOLE_ROWS = 64;
/** How many entries may wait to be deleted before that is more urgent than what else comes. */
const MAX_LEFTOVERS = 10_000;

/** What is changed in memory by a batch: undone if it fails, finished if it doesn't. */
interface Work {
  /** The entries that are being gathered, by topic. */
  readonly writers: Map<JournalTopic, EntryWriter>;
  /** The topics whose rows have to be written. */
  readonly changed: Set<JournalTopic>;
  readonly undo: (() => void)[];
  readonly after: (() => void)[];
}

/** An open journal. After an error other than `disk_full` it must not be used any more. */
export class Journal {
  readonly #file: JournalFile;
  readonly #head: HeadFile;
  readonly #statements: Statements;
  readonly #topics: Map<number, JournalTopic>;
  readonly #leftovers: Leftovers;
  readonly #answers: Loaded["answers"];
  readonly #gone: Loaded["gone"];
  readonly #state: StateRow;
  readonly #next: Loaded["next"];
  /** The topics whose holes are in too many rows. */
  readonly #fragmented = new Set<JournalTopic>();
  #nowMs: number;
  /** When it was last looked whether the file is in its place. */
  #lookedMs: number;
  /** About how many bytes are in the write-ahead log. */
  #logBytes = 0;
  /** How many copies are to be made, and when those are that were asked for. */
  #copies = 0;
  #copied: Promise<void> = Promise.resolve();
  #isEnding = false;

  private constructor(file: JournalFile, head: HeadFile, loaded: Loaded, nowMs: number) {
    this.#file = file;
    this.#head = head;
    this.#topics = loaded.topics;
    this.#leftovers = loaded.leftovers;
    this.#answers = loaded.answers;
    this.#gone = loaded.gone;
    this.#state = loaded.state;
    this.#next = loaded.next;
    this.#nowMs = nowMs;
    this.#lookedMs = nowMs;
    this.#statements = prepareStatements(file);
  }

  /**
   * Opens the journal, made if there is none.
   *
   * @throws {BusError} `store_damaged`, `store_unwritable`, `store_locked`, `store_failed`, `disk_full`.
   */
  static open(options: JournalOptions): OpenedJournal {
    const { path, headPath, nowMs } = options;
    try {
      const { file, loaded, lost } = openChecked(options);
      try {
        const head = HeadFile.open(headPath, loaded.state.commits);
        // From here on both of its files are there.
        file.assertInPlace();
        return { journal: new Journal(file, head, loaded, nowMs), content: loaded.content, lost };
      } catch (error) {
        file.close();
        throw error;
      }
    } catch (error) {
      throw openingFailureOf(error, path);
    }
  }

  /**
   * Makes a batch of changes durable, all or none, at `nowMs`. Whether there is room for all is found out by trying.
   *
   * @throws {BusError} `disk_full`: nothing has happened; `store_failed`.
   */
  apply(batch: Uint8Array, nowMs: number): void {
    // As it is: a clock that was ahead once must not forget forever what is remembered for a time.
    this.#nowMs = nowMs;
    this.#look(nowMs);
    this.#commit((work) => {
      const from = new ByteReader(batch);
      while (!from.done) this.#change(from, work);
    });
    this.#logBytes += batch.length;
  }

  /**
   * Finds out whether a change can be made durable, by one that says nothing.
   *
   * @throws {BusError} as {@linkcode Journal.apply}.
   */
  probe(): void {
    this.#commit(() => {});
  }

  /** Nothing tells that somebody deletes the file: what is written to it would be acknowledged, and gone. */
  #look(nowMs: number): void {
    // A clock may go back.
    if (Math.abs(nowMs - this.#lookedMs) <= LOOK_MS) return;
    try {
      this.#file.assertInPlace();
    } catch (error) {
      throw failureOf(error);
    }
    this.#lookedMs = nowMs;
  }

  #commit(run: (work: Work) => void): void {
    const work: Work = { writers: new Map(), changed: new Set(), undo: [], after: [] };
    const before = { ...this.#state };
    try {
      this.#file.transaction(() => {
        run(work);
        for (const [topic, writer] of work.writers) this.#insertEntry(topic, writer, work);
        for (const topic of work.changed) {
          this.#statements.putTopic.run(topic.number, TOPIC.encode(topic.number, topic));
        }
        this.#state.commits++;
        this.#statements.putState.run(STATE.encode(1, this.#state));
      });
    } catch (error) {
      for (const undo of work.undo.reverse()) undo();
      Object.assign(this.#state, before);
      // Numbers of rows are left out rather than used again.
      throw failureOf(error);
    }
    for (const finish of work.after) finish();
    this.#logBytes += COMMIT_BYTES;
    try {
      this.#head.write(this.#state.commits);
    } catch (error) {
      throw failureOf(error);
    }
  }

  #change(from: ByteReader, work: Work): void {
    const kind = from.byte();
    const number = from.whole();
    if (kind === CHANGE.topic) return this.#addTopic(number, readInfo(from), work);
    const topic = this.#topics.get(number);
    if (topic === undefined) throw new Error(`There is no topic ${number}`);
    switch (kind) {
      case CHANGE.append:
        return this.#append(topic, readAppend(from), work);
      case CHANGE.note:
        return this.#note(topic, readGroupChange(from), work);
      case CHANGE.forget:
        return this.#forget(topic, from.text(), work);
      case CHANGE.delay:
        return this.#delay(topic, readDelayed(from), work);
      case CHANGE.cancel:
        return this.#unschedule(topic, from.text(), work);
      case CHANGE.drop:
        return this.#drop(topic, readDrop(from), work);
      case CHANGE.remove:
        return this.#remove(topic, from.double(), work);
    }
    throw new Error(`There is no change ${kind}`);
  }

  #addTopic(number: number, info: TopicInfo, { changed, undo }: Work): void {
    const topic = new JournalTopic(number, info);
    this.#topics.set(number, topic);
    undo.push(() => this.#topics.delete(number));
    changed.add(topic);
    this.#state.topics++;
    this.#state.nextTopic = Math.max(this.#state.nextTopic, number + 1);
    this.#state.lastCreatedMs = Math.max(this.#state.lastCreatedMs, info.createdMs);
  }

  #append(topic: JournalTopic, append: AppendChange, work: Work): void {
    const { firstId, createdMs, ttlMs, payloads, idempotency, drops, settles, scheduled } = append;
    if (firstId !== topic.next) throw new Error(`Append at ${firstId} of ${quote(topic.info.name)}, not ${topic.next}`);
    work.undo.push(() => topic.next = firstId);
    const attributes = decodeAttributes(append.attributes);
    for (const payload of payloads) {
      const writer = this.#writerFor(topic, payload.length + append.attributes.length, work);
      const parts = { id: topic.next, payload, ttlMs: ttlMs ?? topic.info.ttlMs, attributes };
      writer.add(append.attributes, payload, { createdMs, ttlMs, bytes: retainedBytes(topic.info, parts) });
      topic.next++;
    }
    if (idempotency !== undefined) {
      this.#remember(topic, { idempotency, appended: { firstId, count: payloads.length } }, work);
    }
    if (drops !== undefined) {
      const from = this.#topics.get(drops.topic);
      if (from !== undefined) this.#drop(from, dropOf(from, drops.id), work);
    }
    if (settles !== undefined) {
      const of = this.#topics.get(settles.topic);
      if (of !== undefined) this.#note(of, settles.change, work);
    }
    if (scheduled !== undefined) this.#unschedule(topic, scheduled, work);
  }

  /** The entry that the next message of a topic belongs to. */
  #writerFor(topic: JournalTopic, bytes: number, work: Work): EntryWriter {
    const writer = work.writers.get(topic);
    if (writer !== undefined && !writer.isFullFor(bytes)) return writer;
    if (writer !== undefined) this.#insertEntry(topic, writer, work);
    const next = new EntryWriter(topic.number, topic.next, bytes);
    work.writers.set(topic, next);
    return next;
  }

  #insertEntry(topic: JournalTopic, writer: EntryWriter, { undo }: Work): void {
    const seq = this.#next.entry++;
    const { firstId, count, body } = writer;
    this.#statements.insertEntry.run(seq, writer.head(seq), body);
    topic.entries.push({ seq, firstId, count, bodyBytes: body.length });
    undo.push(() => topic.entries.pop());
    this.#state.entries++;
  }

  #note(topic: JournalTopic, { group: name, next, unacked, done, counts }: GroupChange, { undo }: Work): void {
    let number = topic.groups.get(name);
    if (number === undefined) {
      topic.groups.set(name, number = this.#next.group++);
      undo.push(() => topic.groups.delete(name));
    }
    this.#statements.putGroup.run(number, GROUP.encode(number, { topic: topic.number, name, next, counts }));
    for (const each of unacked) {
      this.#statements.putUnacked.run(number, each.id, UNACKED.encode(each.id, { ...each, group: number }));
    }
    for (const id of done) this.#statements.deleteUnacked.run(number, id);
  }

  #forget(topic: JournalTopic, name: string, { undo, after }: Work): void {
    const number = topic.groups.get(name);
    if (number === undefined) return;
    topic.groups.delete(name);
    undo.push(() => topic.groups.set(name, number));
    this.#statements.deleteGroup.run(number);
    after.push(() => this.#leftovers.groups.push(number));
  }

  #delay(topic: JournalTopic, message: ReturnType<typeof readDelayed>, work: Work): void {
    const { token, dueMs, idempotency, payload } = message;
    if (topic.scheduled.has(token)) throw new Error(`Two messages are called ${quote(token)}`);
    const number = this.#next.scheduled++;
    topic.scheduled.set(token, number);
    work.undo.push(() => topic.scheduled.delete(token));
    this.#statements.insertScheduled.run(number, SCHEDULED.encode(number, { topic: topic.number, message }));
    if (idempotency !== undefined) this.#remember(topic, { idempotency, delayed: { token, dueMs } }, work);
    this.#logBytes += payload.length;
  }

  #unschedule(topic: JournalTopic, token: string, { undo }: Work): void {
    const number = topic.scheduled.get(token);
    if (number === undefined) return;
    topic.scheduled.delete(token);
    undo.push(() => topic.scheduled.set(token, number));
    this.#statements.deleteScheduled.run(number);
  }

  #remember(topic: JournalTopic, answer: StoredAnswer, { after }: Work): void {
    const number = this.#next.answer++;
    this.#statements.insertAnswer.run(number, ANSWER.encode(number, { topic: topic.number, answer }));
    const { untilMs } = answer.idempotency;
    after.push(() => this.#answers.push({ number, untilMs }));
  }

  #drop(topic: JournalTopic, { before, ids, lostMs, limit }: Dropped, { changed, undo, after }: Work): void {
    const { first, lostMs: lostMsBefore, limit: limitBefore } = topic;
    undo.push(() => Object.assign(topic, { first, lostMs: lostMsBefore, limit: limitBefore }));
    topic.first = Math.max(first, before);
    topic.lostMs = Math.max(lostMsBefore, lostMs);
    if (limit !== undefined) topic.limit = limit;
    changed.add(topic);
    const holes = rangesOf(ids.filter((id) => id >= topic.first && id < topic.next && !topic.holes.has(id)));
    if (holes.length > 0) this.#addHoleRow(topic, holes, after);
    after.push(() => {
      for (const entry of topic.takeEmptied(holes)) this.#leftovers.entries.push(entry);
      while (topic.holeRows.length > 0 && topic.holeRows[0]!.end <= topic.first) {
        this.#leftovers.holes.push(topic.holeRows.shift()!.number);
      }
      if (topic.holeRows.length > MAX_HOLE_ROWS + topic.holes.count / MAX_HOLE_ROWS) this.#fragmented.add(topic);
    });
  }

  /** Notes what left the log before older messages. */
  #addHoleRow(topic: JournalTopic, ranges: readonly (readonly [number, number])[], after: Work["after"]): void {
    const number = this.#next.hole++;
    this.#statements.insertHole.run(number, HOLE.encode(number, { topic: topic.number, ranges }));
    after.push(() => topic.holeRows.push({ number, end: ranges.at(-1)![1] }));
  }

  #remove(topic: JournalTopic, newestMs: number, { writers, changed, undo, after }: Work): void {
    const { number, info: { name } } = topic;
    writers.delete(topic);
    changed.delete(topic);
    this.#fragmented.delete(topic);
    this.#topics.delete(number);
    undo.push(() => this.#topics.set(number, topic));
    this.#statements.deleteTopic.run(number);
    this.#state.topics--;
    this.#noteGone(name, newestMs, undo);
    // The rest goes when there is time: without its topic it means nothing.
    after.push(() => this.#leftovers.addAllOf(topic));
  }

  /** See `GoneTopics.note`. */
  #noteGone(name: string, newestMs: number, undo: Work["undo"]): void {
    if (newestMs < this.#state.goneFromMs) return;
    const forget = (name: string) => {
      const row = this.#gone.get(name)!;
      this.#gone.delete(name);
      this.#statements.deleteGone.run(row.number);
      return row;
    };
    // Undoing it puts names in another place than before; it matters only to which of them is forgotten first.
    if (this.#gone.has(name)) {
      const row = forget(name);
      undo.push(() => this.#gone.set(name, row));
    }
    const number = this.#next.gone++;
    this.#statements.insertGone.run(number, GONE.encode(number, { name, newestMs }));
    this.#gone.set(name, { number, newestMs });
    undo.push(() => this.#gone.delete(name));
    if (this.#gone.size <= MAX_GONE_TOPICS) return;
    const [oldest] = this.#gone.keys();
    const row = forget(oldest!);
    undo.push(() => this.#gone.set(oldest!, row));
    this.#state.goneFromMs = Math.max(this.#state.goneFromMs, row.newestMs + 1);
  }

  /**
   * The messages of a topic from one id to another, both included, as {@linkcode decodeMessages} reads them. What is damaged
   * is left out, and told.
   *
   * @throws {BusError} `store_failed`.
   */
  read(number: number, ids: { readonly first: number; readonly last: number }): ReadMessages {
    const topic = this.#topics.get(number);
    if (topic === undefined) return { buffer: new ArrayBuffer(0), damaged: [] };
    try {
      return readMessages(topic, ids, this.#statements);
    } catch (error) {
      throw failureOf(error);
    }
  }

  /** Whether there is something to tidy up at once, rather than when there is time. */
  get isBehind(): boolean {
    return this.#leftovers.entries.length > MAX_LEFTOVERS || this.#isLogLarge;
  }

  /** Whether the write-ahead log is to be moved to its place; not while that is copied. */
  get #isLogLarge(): boolean {
    return this.#logBytes > CHECKPOINT_BYTES && this.#copies === 0;
  }

  /**
   * Does a bounded part of what can wait: deletes what is gone, moves the write-ahead log to its place, gives room back.
   * Returns whether there is more to do.
   *
   * @throws {BusError} as {@linkcode Journal.apply}.
   */
  tidy(): boolean {
    try {
      if (this.#isLogLarge) {
        this.#file.checkpoint();
        // If it could not be moved for want of room, that is not tried again with every commit.
        this.#logBytes = 0;
        return true;
      }
      if (this.#hasToDelete()) {
        this.#commit((work) => this.#deleteSome(work));
        return true;
      }
      return this.#giveBack();
    } catch (error) {
      throw failureOf(error);
    }
  }

  #hasToDelete(): boolean {
    return !this.#leftovers.isEmpty || this.#fragmented.size > 0 || this.#isOver(this.#answers[0]);
  }

  #deleteSome({ after }: Work): void {
    this.#state.entries -= this.#leftovers.deleteSome(this.#statements, after);
    for (const topic of this.#fragmented) this.#joinHoleRows(topic, after);
    this.#forgetAnswers(after);
  }

  #joinHoleRows(topic: JournalTopic, after: Work["after"]): void {
    const rows = [...topic.holeRows];
    for (const row of rows) this.#statements.deleteHole.run(row.number);
    after.push(() => {
      this.#fragmented.delete(topic);
      topic.holeRows.splice(0, rows.length);
    });
    if (topic.holes.count > 0) this.#addHoleRow(topic, [...topic.holes], after);
  }

  #forgetAnswers(after: Work["after"]): void {
    let over = 0;
    while (over < MAX_FORGOTTEN_ANSWERS && this.#isOver(this.#answers[over])) over++;
    if (over === 0) return;
    this.#statements.deleteAnswers.run(this.#answers[over - 1]!.number);
    after.push(() => this.#answers.splice(0, over));
  }

  /** Whether an answer, if there is one, need not be remembered any more. */
  #isOver(answer: Loaded["answers"][number] | undefined): boolean {
    return answer !== undefined && answer.untilMs <= this.#nowMs;
  }

  /** Gives some of the file back if very much of it is free; the rest is used again. Returns whether to go on. */
  #giveBack(): boolean {
    const pages = this.#count("page_count");
    const free = this.#count("freelist_count");
    if (free <= MAX_FREE_PAGES || free <= MAX_FREE_PART * pages) return false;
    this.#file.prepare(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`).all();
    this.#logBytes += VACUUM_PAGES * PAGE_BYTES;
    return true;
  }

  #count(pragma: string): number {
    return (this.#file.prepare(`PRAGMA ${pragma}`).get() as Record<string, number>)[pragma]!;
  }

  /**
   * Writes a copy of itself to a file that is not there yet, one copy after the other. It is as the journal is at the end,
   * and says that it is one: what is opened with it is another past than the one that its readers know.
   *
   * @throws {BusError} `store_unwritable`, `disk_full`, `store_failed`, and `already_closed` if the journal ends.
   */
  async backup(path: string): Promise<void> {
    this.#copies++;
    const assertOpen = () => {
      if (this.#isEnding) throw new BusError("already_closed", "Cannot copy the journal: it is closed");
    };
    const source = { file: this.#file, commits: () => this.#state.commits, assertOpen };
    const copying = this.#copied.then(() => backupTo(path, source)).finally(() => this.#copies--);
    this.#copied = copying.catch(() => {});
    await copying;
  }

  /** Gives up all copies; resolves when nothing is left of them. */
  async endCopies(): Promise<void> {
    this.#isEnding = true;
    await this.#copied;
  }

  /** Ends without writing anything more. Others can't open the database before the process has ended. */
  abandon(): void {
    this.#isEnding = true;
    this.#file.abandon();
    this.#head.close();
  }

  /** Moves everything to its place and ends. */
  close(): void {
    try {
      this.#file.checkpoint();
    } finally {
      this.#file.close();
      this.#head.close();
    }
  }
}

/** That a single message leaves its log, wherever it is there. */
function dropOf({ first, lostMs, limit }: JournalTopic, id: number): Dropped {
  return { before: first, ids: [id], lostMs, limit };
}
