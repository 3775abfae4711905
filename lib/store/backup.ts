/**
 * A copy of the journal, made while it is in use.
 *
 * @module
 */

import { backup, DatabaseSync } from "node:sqlite";
import { BusError, quote } from "../errors.ts";
import { failureOf, type JournalFile, removeIfThere, syncDirectory, syncFile } from "./journal_file.ts";
import { STATE } from "./rows.ts";

/**
 * Copies a journal to a file that is not there yet; it is on the disk when this resolves. The copy says that it is one:
 * what is opened with it is another past than the one that its readers know.
 *
 * @throws {BusError} `store_unwritable`, `disk_full`, `store_failed`.
 */
export async function backupTo(file: JournalFile, path: string): Promise<void> {
  try {
    // SQLite would make it readable for everybody.
    Deno.openSync(path, { createNew: true, write: true, mode: 0o600 }).close();
  } catch (cause) {
    throw new BusError("store_unwritable", `Cannot write a backup to ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
  try {
    await backup(file.database, path);
    mark(path);
    syncFile(path);
    syncDirectory(path);
  } catch (error) {
    for (const ending of ["", "-wal", "-shm", "-journal"]) removeIfThere(path + ending);
    const failure = failureOf(error);
    // The journal itself is as it was.
    if (failure.code === "disk_full") throw failure;
    throw new BusError("store_unwritable", `Cannot write a backup to ${quote(path)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function mark(path: string): void {
  const copy = new DatabaseSync(path);
  try {
    copy.exec("PRAGMA locking_mode = EXCLUSIVE");
    const { data } = copy.prepare("SELECT data FROM state WHERE number = 1").get() as { data: Uint8Array };
    const state = STATE.encode(1, { ...STATE.decode(1, data), isBackup: true });
    copy.prepare("UPDATE state SET data = ? WHERE number = 1").run(state);
  } finally {
    copy.close();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
