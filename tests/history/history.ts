/**
 * What clients saw, line by line: the only thing that the checker looks at.
 *
 * A client does one thing at a time. It writes a line when it calls (`outcome: "called"`, no `t1`), and when it is
 * answered a line for each thing in the answer, with the same `t0`: a line for each message that it got, for each token
 * that it settled, or one that says that there was nothing. What a subscriber is told has no call: `t0` and `t1` are when
 * it arrived. Where nobody answered, the outcome is `unknown`: it may or may not have happened.
 *
 * All times are milliseconds by one monotonic clock. A payload is unique, so that its digest says who sent what, and
 * when: see {@linkcode Payloads}.
 *
 * | op          | lines beside the call                                                                               |
 * | ----------- | --------------------------------------------------------------------------------------------------- |
 * | `settings`  | the first line: what the server promises                                                            |
 * | `publish`   | `ok`, `duplicate` (answered before), `refused` with its `code`, `unknown`                           |
 * | `pull`      | a plain pull: `ok` for each message, or `empty`, `refused`, `unknown`                               |
 * | `lease`     | the same, with `lease`, `attempt`, `leaseMs`                                                        |
 * | `ack`       | for each token `ok` (it is in `done`) or `gone` (it is in `unknown`), or `refused`, `unknown`       |
 * | `nack`      | the same; `delayMs`, and `counted: false` if the attempt is not to count                            |
 * | `extend`    | the same; `leaseMs`                                                                                 |
 * | `subscribe` | the call says from which `cursor`; the end of the subscription is not noted                         |
 * | `deliver`   | a subscriber got a message                                                                          |
 * | `gap`       | a reader was told that something is missing: `from`, `to`, `reason` (`deleted` if its topic went)   |
 * | `browse`    | `ok` for each message, then `end` with the `cursor` of the next page                                |
 * | `drain`     | the last browse, from the beginning to the end, when nobody publishes any more; with `group`: `end` |
 * |             | says that the group was pulled until nothing was left, and nothing of it is leased                  |
 * | `delete`    | a topic was deleted: `ok`, `refused`, `unknown`                                                     |
 * | `restart`   | called when the server is killed (`reason: "kill"`) or told to end, `ok` when the next one is ready |
 * | `fsync`     | from a trace of the server: `ok`, `refused` if it failed                                            |
 * | `calm`      | from here on nothing is broken                                                                      |
 *
 * @module
 */

import { createHash } from "node:crypto";

/** What was done. */
export type Op =
  | "settings"
  | "publish"
  | "pull"
  | "lease"
  | "ack"
  | "nack"
  | "extend"
  | "subscribe"
  | "deliver"
  | "gap"
  | "browse"
  | "drain"
  | "delete"
  | "restart"
  | "fsync"
  | "calm";

/** What came of it. */
export type Outcome = "called" | "ok" | "duplicate" | "empty" | "end" | "gone" | "refused" | "unknown";

/** What the server was started with, as far as its promises depend on it. */
export interface Settings {
  /** Whether it keeps everything when it is killed. Else it forgets, and says so by new epochs. */
  readonly durable: boolean;
  /** How long messages are kept, in milliseconds; `0` means until a limit drops them. */
  readonly ttlMs: number;
  /** How many messages of a topic are kept; `0` means all. */
  readonly maxMessages: number;
  /** How often a message is handed out; `0` means without end. */
  readonly maxAttempts: number;
  /** How long a repeat is known as one, in milliseconds. */
  readonly dedupeWindowMs: number;
  /** By how much a time limit may be kept too late, or seem to be kept too early, in milliseconds. */
  readonly clockErrorMs: number;
}

/** A line of a history. */
export interface Entry {
  /** When it was called. */
  readonly t0: number;
  /** When it was answered, or given up; not in a call. */
  readonly t1?: number;
  /** Who. */
  readonly client: string;
  readonly op: Op;
  readonly outcome: Outcome;
  readonly topic?: string;
  /** `""` is the queue. */
  readonly group?: string;
  /** The key of the message. */
  readonly key?: string;
  readonly idempotencyKey?: string;
  readonly id?: number;
  readonly epoch?: string;
  /** The token of a lease. */
  readonly lease?: string;
  readonly leaseMs?: number;
  readonly attempt?: number;
  /** Where a reading begins, or goes on. */
  readonly cursor?: string;
  /** The digest of the payload. */
  readonly sha?: string;
  readonly durability?: string;
  /** The first id that is missing; not if it is unknown. */
  readonly from?: number;
  /** The last id that is missing. */
  readonly to?: number;
  readonly reason?: string;
  /** The code of a refusal. */
  readonly code?: string;
  /** How many messages a pull asked for. Default 1. */
  readonly limit?: number;
  readonly delayMs?: number;
  readonly counted?: boolean;
  readonly settings?: Settings;
}

/** A line with its number, from 1. */
export type Line = Entry & { readonly line: number };

/** A history: in memory, and in a file as it grows if there is one. */
export class History implements Disposable {
  /** Everything so far. */
  readonly lines: Line[] = [];
  readonly #file: Deno.FsFile | undefined;
  #unwritten: string[] = [];

  /** Begins one, with what the server promises. `file` is made, or emptied. */
  constructor(settings: Settings, file?: string) {
    this.#file = file === undefined ? undefined : Deno.openSync(file, { write: true, create: true, truncate: true });
    this.write({ t0: 0, t1: 0, client: "-", op: "settings", outcome: "ok", settings });
  }

  /** Adds a line. */
  write(entry: Entry): void {
    this.lines.push({ line: this.lines.length + 1, ...entry });
    if (this.#file === undefined) return;
    this.#unwritten.push(JSON.stringify(entry) + "\n");
    if (this.#unwritten.length >= 1024) this.flush();
  }

  /** Writes what the file lacks. */
  flush(): void {
    const bytes = new TextEncoder().encode(this.#unwritten.join(""));
    this.#unwritten = [];
    for (let at = 0; at < bytes.length;) at += this.#file!.writeSync(bytes.subarray(at));
  }

  /** Ends the file. */
  [Symbol.dispose](): void {
    if (this.#file === undefined) return;
    this.flush();
    this.#file.close();
  }
}

/** Reads a history back from NDJSON. A last line that was cut off is no line. */
export function parseHistory(text: string): Line[] {
  const lines = text.split("\n");
  lines.pop();
  return lines.map((line, index) => ({ line: index + 1, ...JSON.parse(line) as Entry }));
}

/** The digest by which a payload is known. */
export function digest(payload: string | Uint8Array): string {
  return createHash("sha256").update(payload).digest("hex").slice(0, 16);
}

/** Payloads that say who sent them, and which of theirs they are: `client:counter:random`. */
export class Payloads {
  readonly #client: string;
  readonly #random: () => number;
  #counter = 0;

  /** Those of one client; `random` gives numbers from 0 to 1. */
  constructor(client: string, random: () => number) {
    this.#client = client;
    this.#random = random;
  }

  /** The next one. */
  next(): string {
    return `${this.#client}:${this.#counter++}:${Math.floor(this.#random() * 2 ** 48).toString(36)}`;
  }
}

/** Numbers from 0 to 1 that a seed replays (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let n = Math.imul(state ^ (state >>> 15), state | 1);
    n ^= n + Math.imul(n ^ (n >>> 7), n | 61);
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32;
  };
}
