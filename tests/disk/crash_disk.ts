/**
 * A disk that loses power: what a program has written and not yet synced may be there afterwards, or not, or in part.
 *
 * @module
 */

import type { Random } from "./random.ts";
import type { TraceEvent } from "./trace.ts";

/** What is written as a whole or not at all. */
const SECTOR_BYTES = 512;

/** How much of what was not synced is there after the power was cut. */
export const SURVIVALS = ["nothing", "prefix", "subset", "torn", "all"] as const;

/** One of {@linkcode SURVIVALS}. */
export type Survival = (typeof SURVIVALS)[number];

/** The files of a directory, by name. */
export type Files = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Bytes that grow. */
class Content {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #size = 0;

  write(offset: number, data: Uint8Array): void {
    this.#resize(Math.max(this.#size, offset + data.length));
    this.#bytes.set(data, offset);
  }

  truncate(size: number): void {
    this.#bytes.fill(0, size, this.#size);
    this.#resize(size);
  }

  copy(): Content {
    const copy = new Content();
    copy.write(0, this.bytes());
    return copy;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#size);
  }

  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const bytes = new Uint8Array(2 * size);
      bytes.set(this.#bytes);
      this.#bytes = bytes;
    }
    this.#size = size;
  }
}

/** A file, under whatever name. */
interface File {
  readonly synced: Content;
}

/** What is not on disk yet. */
type Change =
  | { readonly at: number; readonly file: File; readonly offset: number; readonly data: Uint8Array }
  | { readonly at: number; readonly file: File; readonly size: number }
  | { readonly at: number; readonly file: File; readonly name: true };

function apply(change: Change, content: Content): void {
  if ("data" in change) content.write(change.offset, change.data);
  else if ("size" in change) content.truncate(change.size);
}

/**
 * Replays what a program did, up to a point, and says how the disk may look then. A new name is on disk when its directory
 * was synced, and everything else when its file was. That a file was removed or renamed is on disk at once: file systems
 * keep the order of names.
 */
export class CrashDisk {
  readonly #names = new Map<string, File>();
  #pending: Change[] = [];
  #replayed = 0;

  /** Replays the next event. */
  replay(event: TraceEvent): void {
    const at = this.#replayed++;
    switch (event.do) {
      case "create":
        if (this.#names.has(event.path)) return;
        this.#names.set(event.path, { synced: new Content() });
        return void this.#pending.push({ at, file: this.#file(event.path), name: true });
      case "write":
        return void this.#pending.push({ at, file: this.#file(event.path), offset: event.offset, data: event.data });
      case "truncate":
        return void this.#pending.push({ at, file: this.#file(event.path), size: event.size });
      case "sync":
        return this.#sync(event.path, event.upTo);
      case "unlink":
        return this.#unlink(event.path);
      case "rename": {
        const file = this.#file(event.path);
        if (this.#names.has(event.to)) this.#unlink(event.to);
        this.#names.delete(event.path);
        return void this.#names.set(event.to, file);
      }
    }
  }

  /** How the disk may look if the power is cut now. */
  image(survival: Survival, random: Random): Files {
    const contents = new Map<File, Content>();
    for (const file of this.#names.values()) contents.set(file, file.synced.copy());
    const unnamed = new Set(this.#pending.flatMap((change) => "name" in change ? [change.file] : []));
    const probability = random.next();
    const prefix = random.below(this.#pending.length + 1);
    for (const [index, change] of this.#pending.entries()) {
      if (survival === "torn" && "data" in change) {
        for (const part of sectorsOf(change)) if (random.chance(probability)) apply(part, contents.get(change.file)!);
        continue;
      }
      const survives = survival === "all" || (survival === "prefix" && index < prefix) ||
        ((survival === "subset" || survival === "torn") && random.chance(probability));
      if (!survives) continue;
      unnamed.delete(change.file);
      apply(change, contents.get(change.file)!);
    }
    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const [name, file] of this.#names) if (!unnamed.has(file)) files.set(name, contents.get(file)!.bytes());
    return files;
  }

  #file(path: string): File {
    const file = this.#names.get(path);
    if (file === undefined) throw new Error(`Cannot replay: ${path} was not there when the trace began`);
    return file;
  }

  #sync(path: string, upTo: number): void {
    const file = path === "" ? undefined : this.#file(path);
    this.#pending = this.#pending.filter((change) => {
      const covered = change.at < upTo && ("name" in change ? file === undefined : change.file === file);
      if (covered) apply(change, change.file.synced);
      return !covered;
    });
  }

  #unlink(path: string): void {
    const file = this.#names.get(path);
    this.#names.delete(path);
    this.#pending = this.#pending.filter((change) => change.file !== file);
  }
}

/** The parts of a write that each are written as a whole. */
function* sectorsOf(write: Extract<Change, { data: Uint8Array }>): Generator<Change> {
  for (let from = 0; from < write.data.length;) {
    const offset = write.offset + from;
    const to = Math.min(from + SECTOR_BYTES - offset % SECTOR_BYTES, write.data.length);
    yield { ...write, offset, data: write.data.subarray(from, to) };
    from = to;
  }
}

/** A point at which the power was cut. */
export interface Cut {
  /** How many events had happened. */
  readonly at: number;
  /** What survived of what was not synced. */
  readonly survival: Survival;
  /** How the disk looks. */
  readonly files: Files;
}

/** Cuts the power `count` times at random points of a trace, each time as if it were the first. */
export function* cutsOf(
  events: readonly TraceEvent[],
  options: { readonly count: number; readonly random: Random },
): Generator<Cut> {
  const { count, random } = options;
  const points = Array.from({ length: count }, () => random.below(events.length + 1)).sort((a, b) => a - b);
  const disk = new CrashDisk();
  let at = 0;
  for (const point of points) {
    for (; at < point; at++) disk.replay(events[at]!);
    const survival = random.oneOf(SURVIVALS);
    yield { at, survival, files: disk.image(survival, random) };
  }
}
