/**
 * A copy of the journal, made while it is in use.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { BusError, quote } from "../errors.ts";
import { failureOf, type JournalFile, removeIfThere, syncDirectory, syncFile } from "./journal_file.ts";
import { STATE } from "./rows.ts";

/** What is copied. Until the copy is made, nothing may be moved from the write-ahead log to its place. */
export interface BackupSource {
  /** The database. */
  readonly file: JournalFile;
  /** How many transactions there were. */
  readonly commits: () => number;
  /** Throws if the copy is not to be finished. */
  readonly assertOpen: () => void;
}

/** What is copied in one go; between two goes the journal does what else is asked of it. */
const CHUNK_BYTES = 1024 ** 2;

/**
 * Copies a journal, as it is at the end, to a file that is not there yet; it is on the disk when this resolves. The copy
 * says that it is one: what is opened with it is another past than the one that its readers know.
 *
 * Not by `backup` of `node:sqlite` (Deno 2.9.6), which copies everything in one go: nothing could be stored meanwhile. The
 * file itself changes only when the log is moved to its place, so that a copy of it and of the log after it is whole.
 *
 * @throws {BusError} `store_unwritable`, `disk_full`, `store_failed`, and what `assertOpen` throws.
 */
export async function backupTo(path: string, source: BackupSource): Promise<void> {
  let to: Deno.FsFile;
  try {
    to = Deno.openSync(path, { createNew: true, write: true, mode: 0o600 });
  } catch (cause) {
    throw new BusError("store_unwritable", `Cannot write a backup to ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
  try {
    try {
      await copyFile(source, to);
    } finally {
      to.close();
    }
    // Without a wait from here on: the log must not grow, nor begin anew.
    copyLog(`${source.file.path}-wal`, `${path}-wal`);
    finish(path, source.commits());
    syncFile(path);
    syncDirectory(path);
  } catch (error) {
    for (const ending of ["", "-wal", "-shm", "-journal"]) removeIfThere(path + ending);
    if (error instanceof BusError && error.code === "already_closed") throw error;
    // The journal itself is as it was.
    const isFull = failureOf(error).code === "disk_full" || (error as { code?: unknown }).code === "ENOSPC";
    const code = isFull ? "disk_full" : "store_unwritable";
    throw new BusError(code, `Cannot write a backup to ${quote(path)}: ${messageOf(error)}`, { cause: error });
  }
}

async function copyFile({ file: { content }, assertOpen }: BackupSource, to: Deno.FsFile): Promise<void> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  content.seekSync(0, Deno.SeekMode.Start);
  for (;;) {
    const length = await content.read(buffer);
    assertOpen();
    if (length === null) break;
    for (let at = 0; at < length;) at += await to.write(buffer.subarray(at, length));
    assertOpen();
  }
  // Here, where nobody waits for it, rather than at the end.
  await to.sync();
  assertOpen();
}

function copyLog(from: string, to: string): void {
  try {
    Deno.copyFileSync(from, to);
  } catch (error) {
    // Nothing was written since the journal was opened.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Moves the log of a copy to its place, and has the copy say what it is. */
function finish(path: string, commits: number): void {
  const copy = new DatabaseSync(path);
  try {
    copy.exec("PRAGMA locking_mode = EXCLUSIVE");
    const { data } = copy.prepare("SELECT data FROM state WHERE number = 1").get() as { data: Uint8Array };
    const state = STATE.decode(1, data);
    if (state.commits !== commits) throw new Error(`it has ${state.commits} of ${commits} transactions`);
    copy.prepare("UPDATE state SET data = ? WHERE number = 1").run(STATE.encode(1, { ...state, isBackup: true }));
    // If that fails when it closes, nobody is told.
    copy.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
  } finally {
    copy.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
