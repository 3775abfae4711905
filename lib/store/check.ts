/**
 * Checking a journal that nobody uses.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { DATABASE_NAME, JournalDirectory, pathsIn } from "./directory.ts";
import { type Head, readRecords } from "./entries.ts";
import { HeadFile } from "./head_file.ts";
import { IdRanges } from "./id_ranges.ts";
import {
  assertJournalHeader,
  directoryOf,
  isDamage,
  JournalFile,
  openingFailureOf,
  removeIfThere,
} from "./journal_file.ts";
import { headAt, load, rowsOf } from "./loading.ts";
import { lossOf } from "./opening.ts";
import { ANSWER, GONE, GROUP, HOLE, type RowCodec, SCHEDULED, TOPIC } from "./rows.ts";

/** What a journal has, and what is wrong with it. */
export interface JournalReport {
  /** How many topics there are. */
  readonly topics: number;
  /** How many messages they retain, those that are damaged counted. */
  readonly messages: number;
  /** What these are counted for, in bytes. */
  readonly bytes: number;
  /** How many groups there are, the queues that were used counted. */
  readonly groups: number;
  /** How many messages are to be published later. */
  readonly scheduled: number;
  /** How many messages are damaged: nobody is given them. */
  readonly damaged: number;
  /** How many messages are missing although nothing says that they were dropped. */
  readonly missing: number;
  /** What is wrong, a sentence each; empty if nothing is. */
  readonly problems: readonly string[];
}

/**
 * Checks everything in a journal, without changing it: that of a directory, or a single file such as a backup.
 *
 * @throws {BusError} `store_locked`: it is in use; `store_exposed`, `store_unwritable`: it can't be looked at;
 * `store_damaged`: there is none, or it is another program's or a newer one's.
 */
export async function checkJournal(path: string): Promise<JournalReport> {
  const info = lstat(path);
  if (info === undefined) throw new BusError("store_damaged", `There is no journal ${quote(path)}`);
  if (!info.isDirectory) {
    // It may be the one of a directory that is in use.
    const isOfDirectory = path.endsWith(`/${DATABASE_NAME}`) || path === DATABASE_NAME;
    using _lock = isOfDirectory ? await JournalDirectory.look(directoryOf(path)) : undefined;
    return reportOn(path, undefined);
  }
  const { database, head } = pathsIn(path);
  if (lstat(database) === undefined) throw new BusError("store_damaged", `There is no journal in ${quote(path)}`);
  using _lock = await JournalDirectory.look(path);
  return reportOn(database, { acknowledged: HeadFile.read(head) });
}

function reportOn(path: string, head: { readonly acknowledged: number | undefined } | undefined): JournalReport {
  // SQLite makes one to read what has not been moved from the log to its place.
  const hadIndex = lstat(`${path}-shm`) !== undefined;
  try {
    assertJournalHeader(path);
    const file = JournalFile.openReadOnly(path);
    try {
      return new Check(file, head).report();
    } finally {
      file.close();
      if (!hadIndex) removeIfAllowed(`${path}-shm`);
    }
  } catch (error) {
    throw openingFailureOf(error, path);
  }
}

/** Removes what SQLite has left. It makes it without a permission of this process, which may not remove it then. */
function removeIfAllowed(path: string): void {
  try {
    removeIfThere(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}

/** What is known of a topic while its entries are read. */
interface Progress {
  readonly name: string;
  readonly first: number;
  readonly next: number;
  readonly holes: IdRanges;
  /** The id behind the last entry that was read. */
  end: number;
}

class Check {
  readonly #file: JournalFile;
  readonly #head: { readonly acknowledged: number | undefined } | undefined;
  readonly #problems: string[] = [];
  readonly #topics = new Map<number, Progress>();
  #messages = 0;
  #bytes = 0;
  #damaged = 0;
  #missing = 0;

  constructor(file: JournalFile, head: { readonly acknowledged: number | undefined } | undefined) {
    this.#file = file;
    this.#head = head;
  }

  report(): JournalReport {
    this.#try("pages", () => {
      for (const [said] of this.#file.rows("PRAGMA quick_check")) if (said !== "ok") this.#problems.push(String(said));
    });
    this.#try("state", () => {
      // Everything that stops the start.
      const lost = lossOf(load(this.#file, 0).state, this.#head?.acknowledged);
      if (this.#head !== undefined && lost !== undefined) this.#problems.push(lost);
    });
    this.#try("topics", () => {
      for (const [number, { info: { name }, first, next }] of rowsOf(this.#file, TOPIC)) {
        this.#topics.set(number, { name, first, next, holes: new IdRanges(), end: 0 });
      }
    });
    this.#try("holes", () => {
      for (const [, { topic, ranges }] of rowsOf(this.#file, HOLE)) this.#topics.get(topic)?.holes.add(ranges);
    });
    this.#try("entries", () => this.#checkEntries());
    for (const topic of this.#topics.values()) this.#expect(topic, topic.next);
    const groups = this.#countGroups();
    const scheduled = this.#count(SCHEDULED);
    this.#try("answers", () => void [...rowsOf(this.#file, ANSWER)]);
    this.#try("gone topics", () => void [...rowsOf(this.#file, GONE)]);
    return {
      topics: this.#topics.size,
      messages: this.#messages,
      bytes: this.#bytes,
      groups,
      scheduled,
      damaged: this.#damaged,
      missing: this.#missing,
      problems: [...new Set(this.#problems)],
    };
  }

  #try(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#problems.push(`${what}: ${(error as Error).message}`);
    }
  }

  #checkEntries(): void {
    // One by one: hundreds of bodies may have gigabytes.
    const bodyOf = this.#file.prepare("SELECT body FROM entry WHERE seq = ?");
    for (
      const [seq, bytes] of this.#file.entryRows("SELECT seq, head FROM entry WHERE seq BETWEEN ? AND ? ORDER BY seq")
    ) {
      let head: Head;
      try {
        head = headAt(seq as number, bytes as Uint8Array);
      } catch (error) {
        this.#problems.push(`entry ${seq}: ${(error as Error).message}`);
        continue;
      }
      const topic = this.#topics.get(head.topic);
      if (topic === undefined) continue;
      this.#expect(topic, head.firstId);
      topic.end = Math.max(topic.end, head.firstId + head.items.length);
      const { body } = bodyOf.get(seq as number) as { body: Uint8Array };
      this.#checkRecords(topic, head, body);
    }
  }

  #checkRecords({ name, first, holes }: Progress, head: Head, body: Uint8Array): void {
    for (const { id, item, content } of readRecords(head, body, { first })) {
      if (holes.has(id)) continue;
      this.#messages++;
      this.#bytes += item.bytes;
      if (content !== undefined) continue;
      this.#damaged++;
      this.#problems.push(`message ${id} of ${quote(name)} is damaged`);
    }
  }

  /** Notes what no entry has before an id, and was not dropped. */
  #expect({ name, first, holes, end }: Progress, id: number): void {
    for (const [start, behind] of holes.missingIn(Math.max(end, first), id)) {
      this.#missing += behind - start;
      this.#problems.push(`messages ${start} to ${behind - 1} of ${quote(name)} are missing`);
    }
  }

  #countGroups(): number {
    let count = 0;
    this.#try("groups", () => {
      for (const [, { topic: number, name, next }] of rowsOf(this.#file, GROUP)) {
        const topic = this.#topics.get(number);
        if (topic === undefined) continue;
        count++;
        const end = Math.max(topic.next, topic.end);
        if (next > end) {
          this.#problems.push(`group ${quote(name)} of ${quote(topic.name)} is at ${next}, which is beyond ${end}`);
        }
      }
    });
    return count;
  }

  #count(codec: RowCodec<{ readonly topic: number }>): number {
    let count = 0;
    this.#try(codec.table, () => {
      for (const [, { topic }] of rowsOf(this.#file, codec)) if (this.#topics.has(topic)) count++;
    });
    return count;
  }
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
