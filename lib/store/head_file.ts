/**
 * The head of a journal: how many transactions have been acknowledged, in a file of its own. It is written after every
 * commit and never synced, so it can only lag behind what is durable: a journal that has less than it says was damaged.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "./bytes.ts";

const MAGIC = 0x6d73_6762;
const CHECKSUM_BYTES = 4;
const LENGTH = 16;

/** The head file, open. It has one record, shorter than a sector, which is overwritten in its place. */
export class HeadFile {
  readonly #file: Deno.FsFile;
  readonly #to = new ByteWriter();

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** What the file of this path says, in transactions; `undefined` if it is missing or can't be understood. */
  static read(path: string): number | undefined {
    let bytes: Uint8Array;
    try {
      bytes = Deno.readFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    if (bytes.length !== LENGTH) return undefined;
    const from = new ByteReader(bytes);
    if (from.uint32() !== crc32(bytes.subarray(CHECKSUM_BYTES)) || from.uint32() !== MAGIC) return undefined;
    return from.double();
  }

  /** Opens the file of this path, made if need be, and writes it; it is on the disk when this returns. */
  static open(path: string, commits: number): HeadFile {
    const file = Deno.openSync(path, { write: true, create: true, mode: 0o600 });
    const head = new HeadFile(file);
    file.truncateSync(LENGTH);
    head.write(commits);
    file.syncSync();
    return head;
  }

  /** Notes that so many transactions are acknowledged from now on. */
  write(commits: number): void {
    const to = this.#to;
    to.cut();
    to.uint32(0);
    to.uint32(MAGIC);
    to.double(commits);
    to.patchUint32(0, crc32(to.from(CHECKSUM_BYTES)));
    this.#file.seekSync(0, Deno.SeekMode.Start);
    if (this.#file.writeSync(to.from(0)) !== LENGTH) throw new Error("The head was not written as a whole");
  }

  /** Closes it. */
  close(): void {
    this.#file.close();
  }
}
