/**
 * Opening a journal: what is there is checked against what was acknowledged.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { epochOf } from "../message.ts";
import { HeadFile } from "./head_file.ts";
import {
  assertJournalHeader,
  isDamage,
  JournalFile,
  JournalRefused,
  type OpenDatabase,
  removeIfThere,
} from "./journal_file.ts";
import { load, type Loaded, readState, rowsOf } from "./loading.ts";
import { GROUP, STATE, type StateRow, TOPIC } from "./rows.ts";
import { salvage } from "./salvage.ts";

/** How a journal is opened. */
export interface JournalOptions {
  /** Where the database is. */
  readonly path: string;
  /** Where its head is. */
  readonly headPath: string;
  /** Whether to go on with what is left if something that was acknowledged is missing. */
  readonly acceptLoss: boolean;
  /** The time, in milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** How to open the database. Default: as the platform does. */
  readonly open?: OpenDatabase | undefined;
}

/** A journal that was opened and checked. */
export interface CheckedJournal {
  readonly file: JournalFile;
  readonly loaded: Loaded;
  /** What was lost, as a sentence, if something was. */
  readonly lost: string | undefined;
}

/**
 * Opens a journal, made if there is none. If something was lost, and that is accepted, or if it is a backup, all topics
 * get new epochs: cursors into what there was before mean nothing here.
 *
 * @throws {BusError} `store_damaged`, and errors of SQLite and the system.
 */
export function openChecked({ path, headPath, acceptLoss, nowMs, open }: JournalOptions): CheckedJournal {
  const acknowledged = HeadFile.read(headPath);
  if (![path, headPath, `${path}-wal`].some(exists)) createJournal(path, nowMs);
  if (!acceptLoss) assertNothingLost(path, acknowledged);
  let lost: string | undefined;
  let opened: { readonly file: JournalFile; readonly loaded: Loaded };
  try {
    opened = openAndLoad(path, nowMs, open);
  } catch (error) {
    if (!acceptLoss || !isDamage(error) || (error instanceof JournalRefused && error.isForeign)) throw error;
    lost = (error as Error).message;
    const kept = salvage(path, { commits: acknowledged ?? 0, nowMs });
    if (kept !== undefined) lost += `; what there was is kept as ${quote(kept)}`;
    opened = openAndLoad(path, nowMs, open);
  }
  const { file, loaded } = opened;
  try {
    lost ??= lossOf(loaded.state, acknowledged);
    if (lost === undefined && !loaded.state.isBackup) return { file, loaded, lost };
    if (lost !== undefined && !acceptLoss) throw damaged(path, lost);
    const commits = Math.max(loaded.state.commits, acknowledged ?? 0) + 1;
    // Before it: a backup that has been renewed is none any more, and needs its head.
    HeadFile.open(headPath, commits).close();
    renew(file, loaded, { nowMs, commits });
    return { file, loaded: load(file, nowMs), lost };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Makes a journal that has nothing. */
function createJournal(path: string, nowMs: number): void {
  JournalFile.create(path, (database) => {
    const state = { commits: 0, entries: 0, topics: 0, nextTopic: 1, startedMs: nowMs, lastCreatedMs: 0 };
    const row = STATE.encode(1, { ...state, goneFromMs: nowMs, isBackup: false });
    database.prepare("INSERT INTO state VALUES (1, ?)").run(row);
  });
}

function openAndLoad(path: string, nowMs: number, open: OpenDatabase | undefined): CheckedJournal {
  if (!exists(path)) throw new JournalRefused(`The journal ${quote(path)} is missing`, false);
  assertJournalHeader(path);
  // SQLite would open it to be read only, and call that an error of the disk.
  Deno.openSync(path, { read: true, write: true }).close();
  const file = JournalFile.open(path, open);
  try {
    return { file, loaded: load(file, nowMs), lost: undefined };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Looks for lost transactions before the database is opened: that would move what there is of the log to its place, and
 * forget the rest of it, from which somebody may still want to learn something.
 */
function assertNothingLost(path: string, acknowledged: number | undefined): void {
  if (!exists(path) || !exists(`${path}-wal`)) return;
  assertJournalHeader(path);
  const file = JournalFile.openReadOnly(path);
  try {
    const lost = lossOf(readState(file), acknowledged);
    if (lost !== undefined) throw damaged(path, lost);
  } finally {
    file.close();
    removeIfThere(`${path}-shm`);
  }
}

function damaged(path: string, lost: string): BusError {
  return new BusError("store_damaged", `The journal ${quote(path)} is not whole: ${lost}`);
}

/** What is missing of what was acknowledged, as a sentence. */
export function lossOf({ commits, isBackup }: StateRow, acknowledged: number | undefined): string | undefined {
  if (isBackup) return undefined;
  if (acknowledged === undefined) {
    return commits === 0 ? undefined : "its head, which says how much was acknowledged, is missing or damaged";
  }
  return commits < acknowledged
    ? `${acknowledged - commits} of ${acknowledged} acknowledged transactions are missing`
    : undefined;
}

/** Makes other topics of all topics, with the same messages. */
function renew(
  file: JournalFile,
  { state, topics }: Loaded,
  { nowMs, commits }: { readonly nowMs: number; readonly commits: number },
): void {
  const putTopic = file.prepare("REPLACE INTO topic VALUES (?, ?)");
  const putGroup = file.prepare("REPLACE INTO grp VALUES (?, ?)");
  const deleteUnacked = file.prepare("DELETE FROM unacked WHERE grp = ? AND id >= ?");
  file.transaction(() => {
    for (const topic of topics.values()) {
      const createdMs = Math.max(nowMs, state.lastCreatedMs + 1);
      state.lastCreatedMs = createdMs;
      const info = { ...topic.info, createdMs, epoch: epochOf(createdMs) };
      const { first, next, lostMs, limit } = topic;
      putTopic.run(topic.number, TOPIC.encode(topic.number, { info, first, next, lostMs, limit }));
    }
    // A group may have been further than what is left.
    for (const [number, group] of [...rowsOf(file, GROUP)]) {
      const { next } = topics.get(group.topic) ?? { next: Infinity };
      if (group.next <= next) continue;
      putGroup.run(number, GROUP.encode(number, { ...group, next }));
      deleteUnacked.run(number, next);
    }
    // A cursor that is a time knows no epoch: of what was there before now it must not take anything for read.
    state.goneFromMs = Math.max(state.goneFromMs, nowMs);
    state.commits = commits;
    state.isBackup = false;
    file.prepare("UPDATE state SET data = ? WHERE number = 1").run(STATE.encode(1, state));
  });
}

/** Whether there is a file of this name, or anything else. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
