/**
 * The database file of the journal: making it, opening it, and transactions whose errors are judged by what SQLite says.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { BusError, quote } from "../errors.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "./schema.ts";

/** What the header of the file says that it is: "mbus". */
export const APPLICATION_ID = 0x6d62_7573;

const MAGIC = "SQLite format 3\0";
const HEADER_BYTES = 100;
const VERSION_AT = 60;
const APPLICATION_ID_AT = 68;

// https://sqlite.org/rescode.html
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
/** What it says if it has no room for its index of the log. */
const SQLITE_IOERR_SHMSIZE = SQLITE_IOERR | 19 << 8;

/** How many entries are read at once. */
const ENTRIES_AT_ONCE = 512;

/** Opens a database. Tests give one whose statements fail. */
export type OpenDatabase = (path: string, options: { readonly readOnly?: boolean }) => DatabaseSync;

/** Opens a database as the platform does. */
export const openDatabase: OpenDatabase = (path, options) => new DatabaseSync(path, options);

/** Whether SQLite says that a file is damaged, rather than the disk, or a program, wrong. */
export function isDamage(error: unknown): boolean {
  if (error instanceof BusError) return error.code === "store_damaged";
  // What is no error of SQLite is a row that could not be read.
  if (!isSqliteError(error)) return error instanceof RangeError || error instanceof SyntaxError;
  return ![SQLITE_PERM, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN]
    .includes(primaryCodeOf(error));
}

/** What became of a change: the disk is full, and nothing has happened; or nothing is certain any more. */
export function failureOf(error: unknown): BusError {
  if (error instanceof BusError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (isSqliteError(error) && primaryCodeOf(error) === SQLITE_FULL) {
    return new BusError("disk_full", `Cannot store: ${said}`, { cause: error });
  }
  return new BusError("store_failed", `The journal has failed: ${said}`, { cause: error });
}

/** The same for what happened before anything was promised. */
export function openingFailureOf(error: unknown, path: string): BusError {
  if (error instanceof BusError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (isDamage(error)) {
    return new BusError("store_damaged", `The journal ${quote(path)} is damaged: ${said}`, { cause: error });
  }
  if (isSqliteError(error)) {
    const code = primaryCodeOf(error);
    if (error.errcode === SQLITE_IOERR_SHMSIZE) {
      const what = `there is no room for what SQLite keeps beside it (${said})`;
      return new BusError("disk_full", `Cannot open the journal ${quote(path)}: ${what}`, { cause: error });
    }
    if (code === SQLITE_BUSY || code === SQLITE_LOCKED) {
      return new BusError("store_locked", `The journal ${quote(path)} is in use: ${said}`, { cause: error });
    }
    if (code === SQLITE_PERM || code === SQLITE_READONLY || code === SQLITE_CANTOPEN) {
      return new BusError("store_unwritable", `Cannot open the journal ${quote(path)}: ${said}`, { cause: error });
    }
  }
  if (error instanceof Deno.errors.PermissionDenied || (error as { code?: unknown }).code === "EROFS") {
    return new BusError("store_unwritable", `Cannot open the journal ${quote(path)}: ${said}`, { cause: error });
  }
  return failureOf(error);
}

interface SqliteError extends Error {
  readonly errcode: number;
}

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number";
}

/** Without what makes it an extended code, such as 1034 for an I/O error of fsync. */
function primaryCodeOf({ errcode }: SqliteError): number {
  return errcode & 0xff;
}

/**
 * Looks at the header of a file, without touching it.
 *
 * @throws {BusError} `store_damaged` if it is not a journal, or one of a newer version.
 */
export function assertJournalHeader(path: string): void {
  const header = new Uint8Array(HEADER_BYTES);
  const file = Deno.openSync(path, { read: true });
  let length = 0;
  try {
    for (let more: number | null = 1; more; length += more ?? 0) more = file.readSync(header.subarray(length));
  } finally {
    file.close();
  }
  const refuse = (why: string, isForeign: boolean): never => {
    throw new JournalRefused(`${isForeign ? "Not using" : "Cannot use"} ${quote(path)}: ${why}`, isForeign);
  };
  if (new TextDecoder("latin1").decode(header.subarray(0, MAGIC.length)) !== MAGIC) refuse("it is no journal", false);
  const view = new DataView(header.buffer);
  if (view.getUint32(APPLICATION_ID_AT) !== APPLICATION_ID) refuse("it is another program's database", true);
  assertKnown(path, view.getUint32(VERSION_AT), SCHEMA_VERSION);
}

function assertKnown(path: string, version: number, newest: number): void {
  if (version <= newest) return;
  throw new JournalRefused(
    `Not using ${quote(path)}: it has version ${version}, and this program knows ${newest}`,
    true,
  );
}

/** The version of a database, which its log may know before its header does. */
function versionOf(database: DatabaseSync): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** A file that is not used. */
export class JournalRefused extends BusError {
  /** Whether it is somebody else's, or of a newer version: it is not to be touched whatever may be lost. */
  readonly isForeign: boolean;

  /** Makes the error. */
  constructor(message: string, isForeign: boolean) {
    super("store_damaged", message);
    this.isForeign = isForeign;
  }
}

/** The database, open for this process alone. */
export class JournalFile {
  /** Where it is. */
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #inode: number | null | undefined;
  /** That of the write-ahead log, as soon as there is one. */
  #logInode: number | null | undefined;
  #content: Deno.FsFile | undefined;

  private constructor(path: string, database: DatabaseSync) {
    this.path = path;
    this.#database = database;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#inode = inodeOf(path);
  }

  /**
   * Makes the file, which has no rows; `fill` puts some there. It is whole and on the disk when it is there: it is made
   * under another name. `replacing` is called before it gets its own.
   */
  static create(path: string, fill: (database: DatabaseSync) => void, replacing: () => void = () => {}): void {
    const temporary = `${path}.new`;
    for (const each of [temporary, `${temporary}-wal`, `${temporary}-journal`]) removeIfThere(each);
    // SQLite would make it readable for everybody.
    Deno.openSync(temporary, { createNew: true, write: true, mode: 0o600 }).close();
    const database = new DatabaseSync(temporary);
    try {
      set(database, "auto_vacuum = INCREMENTAL", "locking_mode = EXCLUSIVE", "journal_mode = WAL");
      set(database, "synchronous = FULL", `application_id = ${APPLICATION_ID}`);
      database.exec("BEGIN IMMEDIATE");
      for (const [number, migration] of MIGRATIONS.entries()) {
        for (const sql of migration) database.exec(sql);
        database.exec(`PRAGMA user_version = ${number + 1}`);
      }
      fill(database);
      database.exec("COMMIT");
      // If that fails when it closes, nobody is told.
      database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    } finally {
      database.close();
    }
    syncFile(temporary);
    replacing();
    Deno.renameSync(temporary, path);
    syncDirectory(path);
  }

  /** Opens the file, and brings it up to the newest version. */
  static open(path: string, open: OpenDatabase = openDatabase, migrations = MIGRATIONS): JournalFile {
    const database = open(path, {});
    try {
      set(database, "locking_mode = EXCLUSIVE", "synchronous = FULL", "journal_mode = WAL");
      set(database, "wal_autocheckpoint = 0", "cell_size_check = ON");
      const file = new JournalFile(path, database);
      const version = versionOf(database);
      assertKnown(path, version, migrations.length);
      for (let number = version; number < migrations.length; number++) {
        file.transaction(() => {
          for (const sql of migrations[number]!) database.exec(sql);
          database.exec(`PRAGMA user_version = ${number + 1}`);
        });
      }
      // From here on the header of the file itself says so, whatever becomes of the log before it.
      if (version < migrations.length) file.checkpoint();
      return file;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /**
   * Opens the file to look at it; it must be of the newest version, and nobody may write to it meanwhile. Nothing is written
   * if this process has all permissions. Without them (Deno 2.9.6) SQLite is not told so, and makes a `-shm` beside the file.
   */
  static openReadOnly(path: string): JournalFile {
    const database = openUnlocked(path) ?? openDatabase(path, { readOnly: true });
    try {
      set(database, "cell_size_check = ON");
      assertKnown(path, versionOf(database), SCHEMA_VERSION);
      return new JournalFile(path, database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** Prepares a statement. */
  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /**
   * The rows of a statement, each an array. All at once, because what iterates (Deno 2.9.6) takes it for the end if the disk
   * fails to be read.
   */
  rows(sql: string): readonly (readonly unknown[])[] {
    return this.#all(this.#database.prepare(sql));
  }

  /** The same for very many: the rows of a statement about the entries from `seq` ?1 to ?2, some at once, in that order. */
  *entryRows(sql: string): Iterable<readonly unknown[]> {
    const statement = this.#database.prepare(sql);
    const first = this.#database.prepare("SELECT min(seq) FROM entry WHERE seq >= ?");
    for (let from = 0;;) {
      const [[next] = []] = this.#all(first, from);
      if (typeof next !== "number") return;
      const start = next - next % ENTRIES_AT_ONCE;
      yield* this.#all(statement, start, start + ENTRIES_AT_ONCE - 1);
      from = start + ENTRIES_AT_ONCE;
    }
  }

  #all(statement: StatementSync, ...values: number[]): readonly (readonly unknown[])[] {
    return withArrays(statement).all(...values) as unknown as readonly (readonly unknown[])[];
  }

  /** Does something in one transaction; if it, or the commit, throws, nothing has happened. */
  transaction(run: () => void): void {
    this.#begin.run();
    try {
      run();
      this.#commit.run();
    } catch (error) {
      // After some errors SQLite has rolled back already.
      if (this.#database.isTransaction) this.#rollback.run();
      throw error;
    }
  }

  /**
   * Moves what is in the write-ahead log to its place; the log is used from its beginning then. A full disk is no error:
   * it is tried again later.
   */
  checkpoint(): void {
    this.assertInPlace();
    try {
      this.#database.prepare("PRAGMA wal_checkpoint(PASSIVE)").all();
    } catch (error) {
      if (failureOf(error).code !== "disk_full") throw error;
    }
  }

  /** Throws if what is written would go to another file than the one that is found by its name: it keeps nothing. */
  assertInPlace(): void {
    const log = `${this.path}-wal`;
    this.#logInode ??= inodeOf(log);
    for (const [path, inode] of [[this.path, this.#inode], [log, this.#logInode]] as const) {
      if (inodeOf(path) !== inode) throw new Error(`${quote(path)} was deleted or replaced`);
    }
  }

  /** The bytes of the file, to be read. Open as long as the database: to close them lets go of all locks of the process. */
  get content(): Deno.FsFile {
    return this.#content ??= Deno.openSync(this.path);
  }

  /** Leaves the database as it is. */
  abandon(): void {
    this.#content?.close();
  }

  /** Closes it; SQLite moves what is in the log to its place before. */
  close(): void {
    this.#database.close();
    this.#content?.close();
  }
}

/** What tells a file from another of its name; `undefined` if it is gone, or out of reach. */
function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch {
    return undefined;
  }
}

/** Has the rows of a statement be arrays, in place of objects, which take longer to make. */
export function withArrays(statement: StatementSync): StatementSync {
  // The types of the platform don't know it yet.
  (statement as unknown as { setReturnArrays(isOn: boolean): void }).setReturnArrays(true);
  return statement;
}

/** The rows of a statement, each an array, up to the first that can't be read: that looks like the end (Deno 2.9.6). */
export function rowsIn(database: DatabaseSync, sql: string): Iterable<readonly unknown[]> {
  return withArrays(database.prepare(sql)).iterate() as unknown as Iterable<readonly unknown[]>;
}

/**
 * Sets what a database is to do. Not by `exec` (Deno 2.9.6), whose errors have no code, and which doesn't see a statement
 * fail after the row it answers.
 */
function set(database: DatabaseSync, ...pragmas: string[]): void {
  for (const pragma of pragmas) database.prepare(`PRAGMA ${pragma}`).all();
}

/** Opens a database without its locks, so that it needs no index on the disk of what is in the log; if that is possible. */
function openUnlocked(path: string): DatabaseSync | undefined {
  if (Deno.build.os === "windows") return undefined;
  const name = path.replace(/[%?#]/g, (special) => encodeURIComponent(special));
  let database: DatabaseSync;
  try {
    database = openDatabase(`file:${name}?vfs=unix-none`, { readOnly: true });
  } catch {
    return undefined;
  }
  try {
    set(database, "locking_mode = EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Removes a file, if there is one. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Has what is in a file on the disk. */
export function syncFile(path: string): void {
  const file = Deno.openSync(path, { read: true, write: true });
  try {
    file.syncSync();
  } finally {
    file.close();
  }
}

/** The directory that a file is in. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

/** Has on the disk that a file is in its directory. Windows does so by itself, and opens no directory. */
export function syncDirectory(path: string): void {
  if (Deno.build.os === "windows") return;
  const directory = Deno.openSync(directoryOf(path), { read: true });
  try {
    directory.syncSync();
  } finally {
    directory.close();
  }
}
