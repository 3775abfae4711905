/**
 * The directory of a journal: made for nobody else to read, and locked.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { removeIfThere } from "./journal_file.ts";

/** The database in its directory. */
export const DATABASE_NAME = "journal.db";
/** What says how much was acknowledged. */
export const HEAD_NAME = "head";
const LOCK_NAME = "lock";

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const MEASURED_SYNCS = 5;
const MEASURED_BYTES = 4096;
/** What others than the owner may do. */
const OTHERS = 0o077;
/** Of a directory in which everybody may make files, such as `/tmp`. */
const STICKY = 0o1000;

/** The files of a journal in a directory. */
export interface JournalPaths {
  readonly database: string;
  readonly head: string;
}

/** A directory that this process alone uses. */
export class JournalDirectory {
  /** Where what is. */
  readonly paths: JournalPaths;
  readonly #lock: Deno.FsFile;

  private constructor(paths: JournalPaths, lock: Deno.FsFile) {
    this.paths = paths;
    this.#lock = lock;
  }

  /**
   * Makes the directory if need be, checks who may use it and its files, and locks it.
   *
   * @throws {BusError} `store_unwritable`, `store_exposed`, `store_locked`, `disk_full`.
   */
  static async open(directory: string): Promise<JournalDirectory> {
    const paths = pathsIn(directory);
    try {
      makeDirectory(directory);
      assertPrivate(directory, "isDirectory");
      const userId = userIdIn(directory);
      assertOwn(directory, userId);
      const lockPath = `${directory}/${LOCK_NAME}`;
      const files = [paths.database, `${paths.database}-wal`, `${paths.database}-shm`, paths.head, lockPath];
      for (const file of files) {
        assertPrivate(file, "isFile");
        assertOwn(file, userId);
      }
      return new JournalDirectory(paths, await lock(lockPath));
    } catch (error) {
      if (error instanceof BusError || error instanceof Deno.errors.NotCapable) throw error;
      throw unusable(directory, error);
    }
  }

  /**
   * Keeps others out of a directory that is there, to look at it, without changing anything.
   *
   * @throws {BusError} as {@linkcode JournalDirectory.open}.
   */
  static async look(directory: string): Promise<Disposable> {
    const paths = pathsIn(directory);
    for (const file of [paths.database, `${paths.database}-wal`, paths.head]) assertPrivate(file, "isFile");
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(`${directory}/${LOCK_NAME}`);
    } catch (error) {
      // Whoever uses it has made one.
      if (error instanceof Deno.errors.NotFound) return { [Symbol.dispose]: () => {} };
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw unusable(directory, error);
    }
    try {
      await take(file, directory, false);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** How long the disk takes to sync a write, in milliseconds: the median of a few; `Infinity` if that can't be found out. */
  measureSync(): number {
    const path = `${this.paths.database}.sync`;
    const times: number[] = [];
    try {
      removeIfThere(path);
      const file = Deno.openSync(path, { createNew: true, write: true, mode: FILE_MODE });
      try {
        for (let i = 0; i < MEASURED_SYNCS; i++) {
          file.writeSync(new Uint8Array(MEASURED_BYTES));
          const begunMs = performance.now();
          file.syncDataSync();
          times.push(performance.now() - begunMs);
        }
      } finally {
        file.close();
        removeIfThere(path);
      }
    } catch {
      return Infinity;
    }
    return times.sort((a, b) => a - b)[Math.floor(MEASURED_SYNCS / 2)]!;
  }

  /** Lets others have it. */
  close(): void {
    this.#lock.close();
  }
}

/** Where the files of a journal are in a directory. */
export function pathsIn(directory: string): JournalPaths {
  return { database: `${directory}/${DATABASE_NAME}`, head: `${directory}/${HEAD_NAME}` };
}

function makeDirectory(directory: string): void {
  try {
    Deno.mkdirSync(directory, { mode: DIRECTORY_MODE, recursive: false });
    // What is made is what the mode says, less what the umask says.
    if (Deno.build.os !== "windows") Deno.chmodSync(directory, DIRECTORY_MODE);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Checks that something is what it should be, no link to somewhere else, and of nobody else's concern. */
function assertPrivate(path: string, kind: "isDirectory" | "isFile"): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (info.isSymlink) throw new BusError("store_exposed", `Cannot use ${quote(path)}: ${linkOf(path, kind)}`);
  if (!info[kind]) {
    const what = kind === "isFile" ? "a file" : "a directory";
    throw new BusError("store_unwritable", `Cannot use ${quote(path)}: it is not ${what}`);
  }
  if (Deno.build.os === "windows" || info.mode === null) return;
  if ((info.mode & OTHERS) !== 0) {
    if (kind === "isDirectory" && isForOthers(path, info.mode)) {
      const repair = "make a directory of its own for the journal";
      throw new BusError("store_exposed", `Cannot use ${quote(path)}: it is for other things, too; ${repair}`);
    }
    const mode = (kind === "isFile" ? FILE_MODE : DIRECTORY_MODE).toString(8);
    throw new BusError(
      "store_exposed",
      `Cannot use ${quote(path)}: others may use it, too (chmod ${mode} ${shellQuoted(path)})`,
    );
  }
}

/** What is wrong with a link, and what mends it. */
function linkOf(path: string, kind: "isDirectory" | "isFile"): string {
  const target = Deno.readLinkSync(path);
  const repair = kind === "isDirectory" ? "name that one" : "put the file itself in its place";
  return `it is a symbolic link to ${quote(target)}; ${repair}`;
}

/** Whether a directory is one in which others have files, or may make some: it must not be closed to them. */
function isForOthers(path: string, mode: number): boolean {
  if ((mode & STICKY) !== 0) return true;
  const own = [DATABASE_NAME, HEAD_NAME, LOCK_NAME, "backup.tmp", "owner"];
  for (const { name } of Deno.readDirSync(path)) {
    if (!own.some((each) => name === each || name.startsWith(`${each}-`) || name.startsWith(`${each}.`))) return true;
  }
  return false;
}

/** Checks that something, if it is there, belongs to the user who runs this. */
function assertOwn(path: string, userId: number | null): void {
  let owner: number | null;
  try {
    owner = Deno.lstatSync(path).uid;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (owner === userId) return;
  // Root would take it from whoever has it.
  const repair = userId === 0 ? `run this as that user: sudo -u '#${owner}' …` : `chown ${userId} ${shellQuoted(path)}`;
  throw new BusError("store_exposed", `Cannot use ${quote(path)}: it belongs to another user (${repair})`);
}

/** Who runs this: the owner of what is made in the directory. To ask the system would take another permission. */
function userIdIn(directory: string): number | null {
  const path = `${directory}/owner.${Deno.pid}.tmp`;
  removeIfThere(path);
  const file = Deno.openSync(path, { createNew: true, write: true, mode: FILE_MODE });
  try {
    return file.statSync().uid;
  } finally {
    file.close();
    removeIfThere(path);
  }
}

/** Locks a file, made if need be, and says in it who did. The system lets go of it when the process ends. */
async function lock(path: string): Promise<Deno.FsFile> {
  const file = Deno.openSync(path, { create: true, read: true, write: true, mode: FILE_MODE });
  try {
    await take(file, path.slice(0, -LOCK_NAME.length - 1), true);
    const text = new TextEncoder().encode(`${Deno.pid}\n`);
    // In its place: a full disk has no room for it elsewhere.
    file.writeSync(text);
    file.truncateSync(text.length);
  } catch (error) {
    // Without that text others are told less, which is no reason not to start.
    if (error instanceof BusError || !isFull(error)) {
      file.close();
      throw error;
    }
  }
  return file;
}

/** Locks a file for this process alone, or for all that only look. */
async function take(file: Deno.FsFile, directory: string, isExclusive: boolean): Promise<void> {
  if (await file.tryLock(isExclusive)) return;
  const owner = /^\d+$/.exec(Deno.readTextFileSync(`${directory}/${LOCK_NAME}`).trim())?.[0];
  const who = owner === undefined ? "another process" : `process ${owner}`;
  throw new BusError("store_locked", `Cannot use ${quote(directory)}: ${who} does`);
}

function isFull(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ENOSPC";
}

function unusable(directory: string, error: unknown): BusError {
  const said = `Cannot use the directory ${quote(directory)}: ${messageOf(error)}`;
  return new BusError(isFull(error) ? "disk_full" : "store_unwritable", said, { cause: error });
}

function shellQuoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
