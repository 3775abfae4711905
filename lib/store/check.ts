/**
 * Verifying a journal, or a copy of one, while nobody uses it.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { lockIfThere, pathsIn } from "./directory.ts";
import { readRecords } from "./entries.ts";
import { HeadFile } from "./head_file.ts";
import { assertJournalHeader, isDamage, JournalFile, openingFailureOf, removeIfThere } from "./journal_file.ts";
import { Damage, headAt, load, type Loaded } from "./loading.ts";
import { exists, lossOf } from "./opening.ts";

/** What a journal has, and what is wrong with it. */
export interface JournalReport {
  /** The database. */
  readonly path: string;
  /** Whether it is a backup that was not used yet. */
  readonly isBackup: boolean;
  /** How many transactions there were. */
  readonly commits: number;
  readonly topics: number;
  /** The messages retained. */
  readonly messages: number;
  /** What limits count for them. */
  readonly bytes: number;
  readonly groups: number;
  /** The messages to be published later. */
  readonly scheduled: number;
  /** What is wrong, in sentences; none if all is well. */
  readonly faults: readonly string[];
}

/** So many faults are said; there may be as many as messages. */
const MAX_FAULTS = 100;

/**
 * Verifies the journal of a directory, or a file that is one: that every entry is there, in its place and its order, so
 * that no id is missing that was not dropped; that every checksum is right; and that nothing is missing of what was
 * acknowledged. Changes nothing.
 *
 * @throws {BusError} `store_locked`: somebody uses it; `bad_option`: there is none; `store_unwritable`, `store_failed`:
 * it can't be read.
 */
export async function checkJournal(path: string): Promise<JournalReport> {
  if (!exists(path)) throw noJournal(path);
  if (!Deno.statSync(path).isDirectory) return checkFile(path, undefined);
  const { database, head } = pathsIn(path);
  if (!exists(database) && !exists(head)) throw noJournal(path);
  using _lock = await lockIfThere(path);
  return checkFile(database, head);
}

function noJournal(path: string): BusError {
  return new BusError("bad_option", `Cannot check ${quote(path)}: there is no journal`);
}

function checkFile(path: string, headPath: string | undefined): JournalReport {
  const nothing = { path, isBackup: false, commits: 0, topics: 0, messages: 0, bytes: 0, groups: 0, scheduled: 0 };
  const hadIndex = exists(`${path}-shm`);
  try {
    if (!exists(path)) throw new Damage(`${quote(path)} is missing`);
    assertJournalHeader(path);
    const file = JournalFile.openToRead(path);
    try {
      return verify(file, headPath);
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (!isDamage(error)) throw openingFailureOf(error, path);
    return { ...nothing, faults: [(error as Error).message] };
  } finally {
    // SQLite's index of the log, which it leaves behind if it may not write to the database.
    if (!hadIndex) removeIfThere(`${path}-shm`);
  }
}

function verify(file: JournalFile, headPath: string | undefined): JournalReport {
  const faults: string[] = [];
  for (const [said] of file.rows(`PRAGMA integrity_check(${MAX_FAULTS})`)) if (said !== "ok") faults.push(String(said));
  const loaded = load(file, Date.now());
  const { state: { isBackup, commits }, content: { topics, bytes } } = loaded;
  const loss = headPath === undefined ? undefined : lossOf(loaded.state, HeadFile.read(headPath));
  if (loss !== undefined) faults.push(loss);
  faults.push(...damagedMessages(file, loaded));
  if (faults.length > MAX_FAULTS) faults.splice(MAX_FAULTS, Infinity, `${faults.length - MAX_FAULTS} more`);
  return {
    path: file.path,
    isBackup,
    commits,
    topics: topics.length,
    messages: bytes.length,
    bytes: bytes.reduce((sum, each) => sum + each, 0),
    groups: topics.reduce((sum, { groups }) => sum + groups.length, 0),
    scheduled: topics.reduce((sum, { delayed }) => sum + delayed.length, 0),
    faults,
  };
}

/** The messages that can't be read, of those that are retained. */
function damagedMessages(file: JournalFile, { topics }: Loaded): string[] {
  const faults: string[] = [];
  for (const [seq, headBytes, body] of file.rows("SELECT seq, head, body FROM entry ORDER BY seq")) {
    const head = headAt(seq as number, headBytes as Uint8Array);
    const topic = topics.get(head.topic);
    if (topic === undefined) continue;
    for (const { id, content } of readRecords(head, body as Uint8Array, { first: topic.first })) {
      if (content === undefined && !topic.holes.has(id)) {
        faults.push(`message ${id} of ${quote(topic.info.name)} is damaged`);
      }
    }
  }
  return faults;
}
