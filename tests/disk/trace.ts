/**
 * What a program did to the files of a directory, read from what strace wrote: `-f -y -xx`, one system call a line, those
 * of several threads interleaved.
 *
 * @module
 */

/** One thing that happened, in the order of their ends. */
export type TraceEvent =
  /** A file was made, if there was none. */
  | { readonly do: "create"; readonly path: string }
  | { readonly do: "write"; readonly path: string; readonly offset: number; readonly data: Uint8Array }
  | { readonly do: "truncate"; readonly path: string; readonly size: number }
  /** What happened to a file, or to the names in a directory, before the event with the index `upTo` is on disk. */
  | { readonly do: "sync"; readonly path: string; readonly upTo: number }
  | { readonly do: "unlink"; readonly path: string }
  | { readonly do: "rename"; readonly path: string; readonly to: string }
  /** A line was written to standard output. */
  | { readonly do: "line"; readonly text: string };

/** The system calls that {@linkcode eventsOf} has to see. */
export const TRACED = [
  ...["open", "openat", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"],
  ...["write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek", "truncate", "ftruncate", "fallocate"],
  ...["copy_file_range", "sendfile", "fsync", "fdatasync", "sync_file_range", "msync"],
];

/** Calls that change files in a way that is not read here: a trace that has one of them in the directory is refused. */
const UNKNOWN = new Set([
  ...["creat", "open", "link", "linkat", "writev", "pwritev", "pwritev2", "truncate", "fallocate"],
  ...["copy_file_range", "sendfile", "msync"],
]);

/** A finished system call, as strace writes it. */
export interface Call {
  readonly name: string;
  readonly args: readonly string[];
  /** What it returned; negative if it failed. */
  readonly result: number;
  /** Whether strace answered, and not the kernel. */
  readonly injected: boolean;
  /** The numbers of the lines on which it began and ended. */
  readonly begunAt: number;
  readonly endedAt: number;
}

const LINE_END = 10;
const UNFINISHED = "<unfinished ...>";

/** The lines of a file that may be too long for one string. */
function* linesOf(bytes: Uint8Array): Generator<string> {
  const decoder = new TextDecoder("latin1");
  for (let at = 0; at < bytes.length;) {
    const found = bytes.indexOf(LINE_END, at);
    const end = found < 0 ? bytes.length : found;
    yield decoder.decode(bytes.subarray(at, end));
    at = end + 1;
  }
}

/** The bytes of `\x2f\x74…`. */
function unhex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replaceAll("\\x", ""));
}

function unhexText(text: string): string {
  return new TextDecoder().decode(unhex(text));
}

/** What is in the quotes of an argument; throws if strace has cut it. */
function quoted(arg: string): string {
  const match = /^"([^"]*)"(\.\.\.)?$/.exec(arg);
  if (match === null || match[2] !== undefined) {
    throw new Error(`Cannot read a trace: cut argument ${arg.slice(0, 80)}`);
  }
  return match[1]!;
}

/** The path of a descriptor, `22<\x2f…>`; `undefined` if it is no file. */
export function pathOf(fd: string): string | undefined {
  const match = /^(?:\d+|AT_FDCWD)<([^>]*)>/.exec(fd);
  return match === null ? undefined : unhexText(match[1]!);
}

function fdOf(text: string): number {
  return parseInt(text, 10);
}

/** What is in the quotes of an argument, as far as strace has shown it; `undefined` if it is none in quotes. */
export function textOf(arg: string): string | undefined {
  const match = /^"([^"]*)"/.exec(arg);
  return match === null ? undefined : unhexText(match[1]!);
}

/** Reads a trace: every call that ended, in the order of their ends, those that failed too. */
export function* callsOf(trace: Uint8Array): Generator<Call> {
  const begun = new Map<string, { readonly text: string; readonly at: number }>();
  let number = 0;
  for (const line of linesOf(trace)) {
    const at = number++;
    const space = line.indexOf(" ");
    const pid = line.slice(0, space);
    const text = line.slice(space).trimStart();
    if (text.endsWith(UNFINISHED)) {
      begun.set(pid, { text: text.slice(0, -UNFINISHED.length).trimEnd(), at });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text);
    const start = resumed === null ? { text: "", at } : begun.get(pid);
    if (start === undefined) throw new Error(`Cannot read a trace: a call that was not begun: ${line.slice(0, 80)}`);
    const call = callOf(start.text + text.slice(resumed?.[0].length ?? 0));
    if (call !== undefined) yield { ...call, begunAt: start.at, endedAt: at };
  }
}

function callOf(text: string): Omit<Call, "begunAt" | "endedAt"> | undefined {
  const open = text.indexOf("(");
  const close = text.indexOf(") ");
  const result = /^\s*= (-?\d+)/.exec(text.slice(close + 1));
  // What a thread did not live to finish (`= ?`), signals and exits.
  if (open < 0 || close < open || result === null) return undefined;
  return {
    name: text.slice(0, open),
    args: text.slice(open + 1, close).split(", "),
    result: Number(result[1]),
    injected: text.endsWith("(INJECTED)"),
  };
}

/**
 * Reads a trace: what happened in `directory`, paths relative to it (`""` is the directory itself), and what was written
 * to standard output. Failed calls have done nothing. Files that end in `-shm` are left out: they are no part of a
 * database.
 */
export function eventsOf(trace: Uint8Array, directory: string): TraceEvent[] {
  const reader = new CallReader(directory);
  for (const call of callsOf(trace)) reader.read(call);
  return reader.events;
}

/** Makes events of calls. */
class CallReader {
  readonly events: TraceEvent[] = [];
  /** Where in the trace the events ended. */
  readonly #endings: number[] = [];
  readonly #directory: string;
  /** Where the next write goes, by descriptor. */
  readonly #positions = new Map<number, number>();
  readonly #appending = new Set<number>();
  readonly #sizes = new Map<string, number>();
  #line = "";

  constructor(directory: string) {
    this.#directory = directory;
  }

  read(call: Call): void {
    this.#read(call);
    while (this.#endings.length < this.events.length) this.#endings.push(call.endedAt);
  }

  #read({ name, args, result, begunAt }: Call): void {
    if (result < 0) return;
    const [first = "", second = ""] = args;
    if (name === "write" && fdOf(first) === 1) return this.#output(unhexText(quoted(second)));
    switch (name) {
      case "openat":
        return this.#open(this.#inside(unhexText(quoted(second))), args[2]!, result);
      case "lseek":
        return void this.#positions.set(fdOf(first), result);
      case "write":
      case "pwrite64": {
        const path = this.#inside(pathOf(first));
        if (path === undefined) return;
        const data = unhex(quoted(second)).subarray(0, result);
        return this.#write(path, name === "write" ? this.#advance(first, path, result) : Number(args[3]), data);
      }
      case "ftruncate":
        return this.#truncate(this.#inside(pathOf(first)), Number(second));
      case "fsync":
      case "fdatasync": {
        const path = this.#inside(pathOf(first));
        if (path !== undefined) this.events.push({ do: "sync", path, upTo: this.#endedBefore(begunAt) });
        return;
      }
      case "unlink":
      case "unlinkat": {
        const path = this.#inside(unhexText(quoted(name === "unlink" ? first : second)));
        if (path !== undefined) this.events.push({ do: "unlink", path });
        return;
      }
      case "rename":
      case "renameat":
      case "renameat2": {
        const [from, to] = name === "rename" ? [first, second] : [second, args[3]!];
        const path = this.#inside(unhexText(quoted(from)));
        if (path === undefined) return;
        return void this.events.push({ do: "rename", path, to: this.#inside(unhexText(quoted(to)))! });
      }
    }
    if (UNKNOWN.has(name) && args.some((arg) => this.#inside(pathOf(arg)) !== undefined)) {
      throw new Error(`Cannot read a trace: ${name} is not known here`);
    }
  }

  /** How many events had ended at a line. */
  #endedBefore(line: number): number {
    let count = this.#endings.length;
    while (count > 0 && this.#endings[count - 1]! > line) count--;
    return count;
  }

  /** The path from the directory; `undefined` if it is not in there. */
  #inside(path: string | undefined): string | undefined {
    if (path === this.#directory) return "";
    if (path === undefined || !path.startsWith(`${this.#directory}/`) || path.endsWith("-shm")) return undefined;
    return path.slice(this.#directory.length + 1);
  }

  #output(text: string): void {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop()!;
    for (const line of lines) this.events.push({ do: "line", text: line });
  }

  #open(path: string | undefined, flags: string, fd: number): void {
    this.#positions.set(fd, 0);
    this.#appending.delete(fd);
    if (path === undefined) return;
    if (flags.includes("O_APPEND")) this.#appending.add(fd);
    if (flags.includes("O_CREAT")) this.events.push({ do: "create", path });
    if (flags.includes("O_TRUNC")) this.#truncate(path, 0);
  }

  #advance(fd: string, path: string, length: number): number {
    const number = fdOf(fd);
    const position = this.#appending.has(number) ? this.#sizes.get(path) ?? 0 : this.#positions.get(number) ?? 0;
    this.#positions.set(number, position + length);
    return position;
  }

  #write(path: string, offset: number, data: Uint8Array): void {
    this.#sizes.set(path, Math.max(this.#sizes.get(path) ?? 0, offset + data.length));
    this.events.push({ do: "write", path, offset, data });
  }

  #truncate(path: string | undefined, size: number): void {
    if (path === undefined) return;
    this.#sizes.set(path, size);
    this.events.push({ do: "truncate", path, size });
  }
}
