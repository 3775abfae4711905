/**
 * What the journal keeps in memory of a topic: where its entries are.
 *
 * @module
 */

import type { Dropped } from "../bus/store.ts";
import type { TopicInfo } from "../message.ts";
import { IdRanges } from "./id_ranges.ts";

/** Where an entry is and what it has. */
export interface EntryPlace {
  /** Its place in the journal. */
  readonly seq: number;
  /** The id of its first message. */
  readonly firstId: number;
  /** How many messages it has. */
  readonly count: number;
  /** How large its body is, in bytes. */
  readonly bodyBytes: number;
}

const FIELDS = 4;
const MIN_ENTRIES = 4;

/** The entries of a topic in the order of their ids, in one array of numbers: there may be millions. */
export class EntryIndex {
  #numbers = new Float64Array(MIN_ENTRIES * FIELDS);
  #start = 0;
  #end = 0;
  /** How many of those in between are gone. */
  #gone = 0;

  /** How many there are, those that are gone but not yet at the front counted. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Adds an entry behind all others. */
  push({ seq, firstId, count, bodyBytes }: EntryPlace): void {
    if (this.#end * FIELDS === this.#numbers.length) this.#makeRoom();
    const at = this.#end++ * FIELDS;
    this.#numbers[at] = seq;
    this.#numbers[at + 1] = firstId;
    this.#numbers[at + 2] = count;
    this.#numbers[at + 3] = bodyBytes;
  }

  /** Undoes the last {@linkcode EntryIndex.push}. */
  pop(): void {
    this.#end--;
  }

  /** The entry at a position, from 0 on; `undefined` if it is gone. */
  at(position: number): EntryPlace | undefined {
    const at = (this.#start + position) * FIELDS;
    const seq = this.#numbers[at]!;
    if (seq === 0) return undefined;
    return { seq, firstId: this.#numbers[at + 1]!, count: this.#numbers[at + 2]!, bodyBytes: this.#numbers[at + 3]! };
  }

  /** The position of the first entry that has this id or a later one; {@linkcode EntryIndex.length} if none has. */
  positionOf(id: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = middle * FIELDS;
      if (this.#numbers[at + 1]! + this.#numbers[at + 2]! <= id) low = middle + 1;
      else high = middle;
    }
    return low - this.#start;
  }

  /** Takes the first entry out if all its messages are before `id`, or it is gone. Returns what was taken out. */
  shiftBefore(id: number): EntryPlace | "gone" | undefined {
    if (this.#start === this.#end) return undefined;
    const at = this.#start * FIELDS;
    if (this.#numbers[at] === 0) {
      this.#start++;
      this.#gone--;
      return "gone";
    }
    if (this.#numbers[at + 1]! + this.#numbers[at + 2]! > id) return undefined;
    const entry = this.at(0);
    this.#start++;
    return entry;
  }

  /** Marks the entry at a position as gone. */
  markGone(position: number): void {
    this.#numbers[(this.#start + position) * FIELDS] = 0;
    this.#gone++;
  }

  /** Those that are not gone. */
  *[Symbol.iterator](): IterableIterator<EntryPlace> {
    for (let position = 0; position < this.length; position++) {
      const entry = this.at(position);
      if (entry !== undefined) yield entry;
    }
  }

  /** Uses the room at the front, and that of entries that are gone, before it takes more. */
  #makeRoom(): void {
    const left = this.length - this.#gone;
    const numbers = new Float64Array(Math.max(MIN_ENTRIES, 2 * left) * FIELDS);
    let end = 0;
    for (let at = this.#start * FIELDS; at < this.#end * FIELDS; at += FIELDS) {
      if (this.#numbers[at] === 0) continue;
      numbers.set(this.#numbers.subarray(at, at + FIELDS), end * FIELDS);
      end++;
    }
    this.#numbers = numbers;
    this.#start = this.#gone = 0;
    this.#end = end;
  }
}

/** A topic of the journal. */
export class JournalTopic {
  /** What others call it by. */
  readonly number: number;
  /** What it is. */
  readonly info: TopicInfo;
  /** Its entries; those that are to be deleted are not among them. */
  readonly entries: EntryIndex = new EntryIndex();
  /** What left the log before older messages, since {@linkcode JournalTopic.first}. */
  readonly holes: IdRanges = new IdRanges();
  /** The rows that say so, and the id behind the last one of each. */
  readonly holeRows: { readonly number: number; readonly end: number }[] = [];
  /** The numbers of its groups, by name. */
  readonly groups: Map<string, number> = new Map();
  /** The numbers of what is to be appended later, by token. */
  readonly scheduled: Map<string, number> = new Map();
  /** See `TopicRow`. */
  first = 0;
  /** The id of the next message. */
  next = 0;
  /** See `TopicRow`. */
  lostMs = -Infinity;
  /** See `TopicRow`. */
  limit: Dropped["limit"] = undefined;

  /** Makes one without anything. */
  constructor(number: number, info: TopicInfo) {
    this.number = number;
    this.info = info;
  }

  /**
   * Takes note of what has left the log from the middle, and takes out the entries that have nothing left since then, or
   * since {@linkcode JournalTopic.first} was moved: they can be deleted.
   */
  takeEmptied(dropped: readonly (readonly [number, number])[]): EntryPlace[] {
    const { entries, holes, first } = this;
    holes.add(dropped);
    holes.cutBefore(first);
    const emptied: EntryPlace[] = [];
    for (let entry = entries.shiftBefore(first); entry !== undefined; entry = entries.shiftBefore(first)) {
      if (entry !== "gone") emptied.push(entry);
    }
    for (const [start, end] of dropped) {
      for (let position = entries.positionOf(Math.max(start, first)); position < entries.length; position++) {
        const entry = entries.at(position);
        if (entry === undefined) continue;
        if (entry.firstId >= end) break;
        if (!holes.covers(Math.max(entry.firstId, first), entry.firstId + entry.count)) continue;
        entries.markGone(position);
        emptied.push(entry);
      }
    }
    return emptied;
  }
}
