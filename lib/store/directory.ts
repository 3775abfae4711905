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
   * @throws {BusError} `store_unwritable`, `store_exposed`, `store_locked`.
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
      throw new BusError("store_unwritable", `Cannot use the directory ${quote(directory)}: ${messageOf(error)}`, {
        cause: error,
      });
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
  if (info.isSymlink) throw new BusError("store_exposed", `Cannot use ${quote(path)}: it is a symbolic link`);
  if (!info[kind]) {
    const what = kind === "isFile" ? "a file" : "a directory";
    throw new BusError("store_unwritable", `Cannot use ${quote(path)}: it is not ${what}`);
  }
  if (Deno.build.os === "windows" || info.mode === null) return;
  if ((info.mode & OTHERS) !== 0) {
    const mode = (kind === "isFile" ? FILE_MODE : DIRECTORY_MODE).toString(8);
    throw new BusError(
      "store_exposed",
      `Cannot use ${quote(path)}: others may use it, too (chmod ${mode} ${shellQuoted(path)})`,
    );
  }
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
  const repair = `chown ${userId} ${shellQuoted(path)}`;
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
    if (!await file.tryLock(true)) {
      const owner = /^\d+$/.exec(Deno.readTextFileSync(path).trim())?.[0];
      const who = owner === undefined ? "another process" : `process ${owner}`;
      throw new BusError("store_locked", `Cannot use ${quote(path.slice(0, -LOCK_NAME.length - 1))}: ${who} does`);
    }
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function shellQuoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
