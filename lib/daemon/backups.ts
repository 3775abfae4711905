/**
 * Copies of the journal that are handed out over HTTP.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { BackupCopy, BackupSource } from "../http/backup.ts";

/** What makes a copy: as the journal does. */
export interface Copier {
  /** Copies everything as it is at one moment into a file that is not there yet, and that only its owner can read. */
  backup(path: string): Promise<void>;
}

/** Tells how much there is. */
export type CountSource = () => { readonly topics: number; readonly messages: number };

const COPY_NAME = "backup.tmp";
const CHUNK_BYTES = 1024 ** 2;

/** Makes copies in the data directory, one at a time; removes what a copy that was never finished has left there. */
export function backupsOf(copier: Copier, directory: string, countsOf: CountSource): BackupSource {
  const path = `${directory}/${COPY_NAME}`;
  removeAll(path);
  return async () => {
    let file: Deno.FsFile | undefined;
    try {
      await copier.backup(path);
      const { topics, messages } = countsOf();
      file = await Deno.open(path);
      const { sha256, bytes } = await digestOf(file);
      await file.seek(0, Deno.SeekMode.Start);
      return copyOf(file, { topics, messages, sha256, bytes });
    } catch (error) {
      file?.close();
      throw error;
    } finally {
      // Its name goes now, so that nothing is left of it however the process ends; its content when it is closed.
      removeAll(path);
    }
  };
}

function copyOf(file: Deno.FsFile, said: Omit<BackupCopy, "read" | "close">): BackupCopy {
  return { ...said, read: (buffer) => file.read(buffer), close: () => file.close() };
}

async function digestOf(file: Deno.FsFile): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(CHUNK_BYTES);
  let bytes = 0;
  for (let length = await file.read(buffer); length !== null; length = await file.read(buffer)) {
    hash.update(buffer.subarray(0, length));
    bytes += length;
  }
  return { sha256: hash.digest("hex"), bytes };
}

/** Removes a copy, and what SQLite keeps beside it while it is made. */
function removeAll(path: string): void {
  for (const each of [path, `${path}-journal`, `${path}-wal`, `${path}-shm`]) {
    try {
      Deno.removeSync(each);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
