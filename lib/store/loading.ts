/**
 * Reading the journal at the start: everything but the bodies of its entries, checked.
 *
 * @module
 */

import type { DelayedMessage, Dropped, StoredAnswer, StoredGroup, UnackedMessage } from "../bus/store.ts";
import { quote } from "../errors.ts";
import type { TopicInfo } from "../message.ts";
import { ByteReader } from "./bytes.ts";
import { decodeHead, type Head, readHead } from "./entries.ts";
import type { JournalFile } from "./journal_file.ts";
import { type EntryPlace, JournalTopic } from "./journal_topic.ts";
import { Leftovers } from "./leftovers.ts";
import {
  ANSWER,
  GONE,
  type GoneRow,
  GROUP,
  HOLE,
  type RowCodec,
  SCHEDULED,
  STATE,
  type StateRow,
  TOPIC,
  UNACKED,
} from "./rows.ts";
import { SMALL_TABLES } from "./schema.ts";

/** What the journal has, for the other side of the worker: the columns are those of `StoredIndex`, of all topics in turn. */
export interface JournalContent {
  readonly startedMs: number;
  readonly lastCreatedMs: number;
  readonly goneFromMs: number;
  readonly nextTopic: number;
  readonly topics: readonly ContentTopic[];
  readonly gone: readonly GoneRow[];
  readonly ids: Float64Array<ArrayBuffer>;
  readonly createdMs: Float64Array<ArrayBuffer>;
  readonly bytes: Uint32Array<ArrayBuffer>;
}

/** A topic of {@linkcode JournalContent}. */
export interface ContentTopic {
  readonly number: number;
  readonly info: TopicInfo;
  readonly next: number;
  /** See `StoredTopic`. */
  readonly before: number;
  readonly lostMs: number;
  readonly limit: Dropped["limit"];
  /** Where its messages begin in the columns. */
  start: number;
  /** How many there are. */
  length: number;
  /** See `StoredIndex`. */
  readonly ttlMs: Map<number, number>;
  readonly groups: StoredGroup[];
  readonly delayed: Omit<DelayedMessage, "topic">[];
  readonly answers: StoredAnswer[];
}

/** What is in memory of a journal. */
export interface Loaded {
  readonly state: StateRow;
  readonly topics: Map<number, JournalTopic>;
  readonly content: JournalContent;
  readonly leftovers: Leftovers;
  /** The publishes that are remembered: the numbers of their rows, and until when. */
  readonly answers: { readonly number: number; readonly untilMs: number }[];
  /** The topics that are gone, by name: the numbers of their rows. */
  readonly gone: Map<string, { readonly number: number; readonly newestMs: number }>;
  /** The number of the next row of each table. */
  readonly next: { entry: number; group: number; scheduled: number; answer: number; gone: number; hole: number };
}

/** Something that should be in the journal is not, or is not what it should be. */
export class Damage extends RangeError {}

/**
 * Reads a journal; what is remembered until before `nowMs` is left out.
 *
 * @throws {Damage} and errors of SQLite.
 */
export function load(file: JournalFile, nowMs: number): Loaded {
  checkStructure(file);
  const state = readState(file);
  const loader = new Loader(file, state, nowMs);
  return loader.load();
}

/** Checks the pages of the small tables: a row that is missing from its page has no checksum that could fail. */
function checkStructure(file: JournalFile): void {
  for (const table of ["sqlite_schema", ...SMALL_TABLES]) {
    for (const [said] of file.rows(`PRAGMA quick_check(${table})`)) {
      if (said !== "ok") throw new Damage(`table ${table}: ${said}`);
    }
  }
}

/** Reads what the journal knows of itself. */
export function readState(file: JournalFile): StateRow {
  const [row] = [...file.rows("SELECT data FROM state WHERE number = 1")];
  if (row === undefined) throw new Damage("it doesn't know itself");
  return STATE.decode(1, row[0] as Uint8Array);
}

/** The rows of a table by number, in that order. */
export function* rowsOf<T>(file: JournalFile, { table, decode }: RowCodec<T>): Iterable<[number, T]> {
  for (const [number, data] of file.rows(`SELECT number, data FROM ${table} ORDER BY number`)) {
    yield [number as number, decode(number as number, data as Uint8Array)];
  }
}

/** The heads of all entries, in their order. Not one row each: the rows, not the bytes, are what costs time. */
export function* headsOf(file: JournalFile): Iterable<Head> {
  const rows = file.entryRows(
    "SELECT group_concat(hex(head), ''), count(*), sum(seq) FROM entry WHERE seq BETWEEN ? AND ?",
  );
  for (const [hex, count, sum] of rows) {
    const bytes = Uint8Array.fromHex(hex as string);
    const from = new ByteReader(bytes);
    let sumRead = 0;
    let countRead = 0;
    for (; !from.done; countRead++) {
      const head = readHead(from, bytes);
      sumRead += head.seq;
      yield head;
    }
    if (countRead !== count || sumRead !== sum) throw new Damage("an entry is not in its place");
  }
}

class Loader {
  readonly #file: JournalFile;
  readonly #state: StateRow;
  readonly #nowMs: number;
  readonly #topics = new Map<number, JournalTopic>();
  readonly #contents = new Map<number, ContentTopic>();
  readonly #leftovers = new Leftovers();
  readonly #next = { entry: 1, group: 1, scheduled: 1, answer: 1, gone: 1, hole: 1 };

  constructor(file: JournalFile, state: StateRow, nowMs: number) {
    this.#file = file;
    this.#state = state;
    this.#nowMs = nowMs;
  }

  load(): Loaded {
    this.#loadTopics();
    this.#loadHoles();
    const columns = this.#loadEntries();
    this.#loadGroups();
    this.#loadScheduled();
    const answers = this.#loadAnswers();
    const gone = this.#loadGone();
    const { startedMs, lastCreatedMs, goneFromMs, nextTopic } = this.#state;
    const topics = [...this.#contents.values()];
    const content = {
      startedMs,
      lastCreatedMs,
      goneFromMs,
      nextTopic,
      topics,
      gone: Array.from(gone, ([name, { newestMs }]) => ({ name, newestMs })),
      ...columns,
    };
    const leftovers = this.#leftovers;
    return { state: this.#state, topics: this.#topics, content, leftovers, answers, gone, next: this.#next };
  }

  #loadTopics(): void {
    for (const [number, { info, first, next, lostMs, limit }] of rowsOf(this.#file, TOPIC)) {
      const topic = new JournalTopic(number, info);
      Object.assign(topic, { first, next, lostMs, limit });
      this.#topics.set(number, topic);
    }
    if (this.#topics.size !== this.#state.topics) {
      throw new Damage(`${this.#topics.size} topics of ${this.#state.topics} are there`);
    }
  }

  #loadHoles(): void {
    for (const [number, { topic: topicNumber, ranges }] of rowsOf(this.#file, HOLE)) {
      this.#next.hole = number + 1;
      const topic = this.#topics.get(topicNumber);
      const end = ranges.at(-1)?.[1] ?? 0;
      if (topic === undefined || end <= topic.first) {
        this.#leftovers.holes.push(number);
        continue;
      }
      topic.holeRows.push({ number, end });
      topic.holes.add(ranges);
    }
    for (const topic of this.#topics.values()) topic.holes.cutBefore(topic.first);
  }

  /** Puts the entries where they belong, and what is retained into columns. */
  #loadEntries(): Pick<JournalContent, "ids" | "createdMs" | "bytes"> {
    const found = new Columns();
    const ttls: { readonly topic: number; readonly id: number; readonly ttlMs: number }[] = [];
    const lengths = new Map<number, number>();
    /** The id behind the last entry of each topic. */
    const ends = new Map<number, number>();
    let count = 0;
    for (const head of headsOf(this.#file)) {
      count++;
      if (head.seq < this.#next.entry) throw new Damage("the entries are out of order");
      this.#next.entry = head.seq + 1;
      const topic = this.#topics.get(head.topic);
      const place = placeOf(head);
      if (topic === undefined) {
        this.#leftovers.entries.push(place);
        continue;
      }
      const end = ends.get(head.topic) ?? 0;
      if (head.firstId < end) throw new Damage("two entries overlap");
      assertDropped(topic, end, head.firstId);
      let kept = 0;
      let id = head.firstId;
      for (const { createdMs, ttlMs, bytes } of head.items) {
        if (id >= topic.first && !topic.holes.has(id)) {
          found.push(head.topic, id, createdMs, bytes);
          if (ttlMs !== undefined) ttls.push({ topic: head.topic, id, ttlMs });
          kept++;
        }
        id++;
      }
      ends.set(head.topic, id);
      if (kept === 0) this.#leftovers.entries.push(place);
      else topic.entries.push(place);
      lengths.set(head.topic, (lengths.get(head.topic) ?? 0) + kept);
    }
    if (count !== this.#state.entries) throw new Damage(`${count} entries of ${this.#state.entries} are there`);
    for (const topic of this.#topics.values()) {
      const end = ends.get(topic.number) ?? 0;
      assertDropped(topic, end, topic.next);
      topic.next = Math.max(topic.next, end);
    }
    let start = 0;
    for (const { number, info, next, first, lostMs, limit } of this.#topics.values()) {
      const length = lengths.get(number) ?? 0;
      const ttlMs = new Map<number, number>();
      const lists = { groups: [], delayed: [], answers: [] };
      const told = { before: first, lostMs, limit };
      this.#contents.set(number, { number, info, next, ...told, start, length, ttlMs, ...lists });
      start += length;
    }
    for (const { topic, id, ttlMs } of ttls) this.#contents.get(topic)!.ttlMs.set(id, ttlMs);
    return found.sorted(new Map(Array.from(this.#contents.values(), ({ number, start }) => [number, start])));
  }

  #loadGroups(): void {
    const groups = new Map<number, { group: StoredGroup; unacked: UnackedMessage[] }>();
    for (const [number, { topic, name, next, counts }] of rowsOf(this.#file, GROUP)) {
      this.#next.group = number + 1;
      const content = this.#contents.get(topic);
      if (content === undefined) {
        this.#leftovers.groups.push(number);
        continue;
      }
      const unacked: UnackedMessage[] = [];
      const group = { name, next, unacked, counts };
      groups.set(number, { group, unacked });
      content.groups.push(group);
      this.#topics.get(topic)!.groups.set(name, number);
    }
    let left = -1;
    for (const [number, id, data] of this.#file.rows("SELECT grp, id, data FROM unacked ORDER BY grp, id")) {
      const { group, ...each } = UNACKED.decode(id as number, data as Uint8Array);
      if (group !== number) throw new Damage("an unacknowledged message is in another group");
      const found = groups.get(group);
      if (found !== undefined) found.unacked.push(each);
      else if (group !== left && !this.#leftovers.groups.includes(group)) this.#leftovers.groups.push(left = group);
      this.#next.group = Math.max(this.#next.group, group + 1);
    }
  }

  #loadScheduled(): void {
    for (const [number, { topic, message }] of rowsOf(this.#file, SCHEDULED)) {
      this.#next.scheduled = number + 1;
      const content = this.#contents.get(topic);
      if (content === undefined) {
        this.#leftovers.scheduled.push(number);
        continue;
      }
      content.delayed.push(message);
      this.#topics.get(topic)!.scheduled.set(message.token, number);
    }
  }

  #loadAnswers(): Loaded["answers"] {
    const answers: { number: number; untilMs: number }[] = [];
    for (const [number, { topic, answer }] of rowsOf(this.#file, ANSWER)) {
      this.#next.answer = number + 1;
      const { untilMs } = answer.idempotency;
      answers.push({ number, untilMs });
      if (untilMs > this.#nowMs) this.#contents.get(topic)?.answers.push(answer);
    }
    return answers;
  }

  #loadGone(): Loaded["gone"] {
    const gone: Loaded["gone"] = new Map();
    for (const [number, { name, newestMs }] of rowsOf(this.#file, GONE)) {
      this.#next.gone = number + 1;
      gone.set(name, { number, newestMs });
    }
    return gone;
  }
}

/** Checks that what no entry has, from an id to before another one, was dropped. */
function assertDropped({ first, holes, info }: JournalTopic, start: number, end: number): void {
  const [missing] = holes.missingIn(Math.max(start, first), end);
  if (missing === undefined) return;
  throw new Damage(`messages ${missing[0]} to ${missing[1] - 1} of ${quote(info.name)} are missing`);
}

/** Where an entry is. */
export function placeOf({ seq, firstId, items }: Head): EntryPlace {
  let bodyBytes = 0;
  for (const { recordLength } of items) bodyBytes += recordLength;
  return { seq, firstId, count: items.length, bodyBytes };
}

/** Checks a head that stands alone against the place that its row says. */
export function headAt(seq: number, bytes: Uint8Array): Head {
  const head = decodeHead(bytes);
  if (head.seq !== seq) throw new Damage("an entry is not in its place");
  return head;
}

const MIN_ROWS = 1024;

/** The messages of all topics as they come, in columns that grow. */
class Columns {
  #topics = new Float64Array(MIN_ROWS);
  #ids = new Float64Array(MIN_ROWS);
  #createdMs = new Float64Array(MIN_ROWS);
  #bytes = new Uint32Array(MIN_ROWS);
  #length = 0;

  push(topic: number, id: number, createdMs: number, bytes: number): void {
    if (this.#length === this.#ids.length) this.#grow();
    const at = this.#length++;
    this.#topics[at] = topic;
    this.#ids[at] = id;
    this.#createdMs[at] = createdMs;
    this.#bytes[at] = bytes;
  }

  /** The same, those of each topic together from its place on. */
  sorted(starts: Map<number, number>): Pick<JournalContent, "ids" | "createdMs" | "bytes"> {
    const length = this.#length;
    const ids = new Float64Array(length);
    const createdMs = new Float64Array(length);
    const bytes = new Uint32Array(length);
    for (let from = 0; from < length; from++) {
      const topic = this.#topics[from]!;
      const to = starts.get(topic)!;
      starts.set(topic, to + 1);
      ids[to] = this.#ids[from]!;
      createdMs[to] = this.#createdMs[from]!;
      bytes[to] = this.#bytes[from]!;
    }
    return { ids, createdMs, bytes };
  }

  #grow(): void {
    const length = 2 * this.#length;
    const grown = <T extends Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#topics = grown(new Float64Array(length), this.#topics);
    this.#ids = grown(new Float64Array(length), this.#ids);
    this.#createdMs = grown(new Float64Array(length), this.#createdMs);
    this.#bytes = grown(new Uint32Array(length), this.#bytes);
  }
}
