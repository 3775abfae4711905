/**
 * What the disk itself takes to keep something.
 *
 * @module
 */

import { LatencyHistogram } from "../latency_histogram.ts";
import { readProc } from "../process.ts";

/** Where files are kept. */
export interface Disk {
  /** The file system, such as `ext4`. */
  readonly filesystem: string;
  /** What it is on. */
  readonly device: string;
}

/** What one write that is synced takes, in milliseconds. */
export interface SyncTimes {
  /** The median of writes over what is there. */
  readonly overwriteMs: number;
  /** The median of writes that make the file longer. */
  readonly appendMs: number;
  /** What one in a hundred of either exceeds. */
  readonly p99Ms: number;
}

const BLOCK = new Uint8Array(4096).fill(0x78);
const WRITES = 200;
const IN_MEMORY = ["tmpfs", "ramfs"];

/**
 * Finds out what a directory is on.
 *
 * @throws {RangeError} if that is memory: nothing is kept there, so that syncing takes no time.
 */
export async function diskOf(directory: string): Promise<Disk> {
  const path = `${await Deno.realPath(directory)}/`;
  const mounts = (await readProc("mounts") ?? "").split("\n").map((line) => line.split(" "));
  const [device = "unknown", , filesystem = "unknown"] = mounts
    .filter(([, mount = ""]) => mount !== "" && path.startsWith(mount.endsWith("/") ? mount : `${mount}/`))
    .reduce((longest, mount) => mount[1]!.length >= (longest[1] ?? "").length ? mount : longest, []);
  if (IN_MEMORY.includes(filesystem)) {
    throw new RangeError(`Cannot measure in ${directory}: it is in memory (${filesystem}); choose a disk with --dir`);
  }
  return { filesystem, device };
}

/** Writes 200 blocks of 4 KiB to a new file, and then over them, each followed by `fdatasync`. */
export function measureSync(directory: string): SyncTimes {
  const path = `${directory}/sync`;
  const all = new LatencyHistogram();
  using file = Deno.openSync(path, { write: true, createNew: true });
  const pass = (): number => {
    const histogram = new LatencyHistogram();
    file.seekSync(0, Deno.SeekMode.Start);
    for (let i = 0; i < WRITES; i++) {
      const startMs = performance.now();
      file.writeSync(BLOCK);
      file.syncDataSync();
      const ms = performance.now() - startMs;
      histogram.record(ms);
      all.record(ms);
    }
    return histogram.percentile(0.5);
  };
  const appendMs = pass();
  const overwriteMs = pass();
  Deno.removeSync(path);
  return { overwriteMs, appendMs, p99Ms: all.percentile(0.99) };
}
