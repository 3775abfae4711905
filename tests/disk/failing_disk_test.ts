/**
 * msgbusd when a call to the disk fails: nothing is acknowledged from then on, it ends, and the next one has everything.
 * `-- --runs=200` goes further than CI.
 *
 * @module
 */

import { EXIT } from "../../lib/daemon/lifecycle.ts";
import { pathsIn } from "../../lib/store/directory.ts";
import { Journal } from "../../lib/store/journal.ts";
import { assertEquals } from "../deps.ts";
import { countOfRuns, numbersOfRuns } from "./arguments.ts";
import {
  durableDaemon,
  launch,
  listeningPort,
  type Publish,
  publish,
  publishMany,
  violationsAfterRestart,
} from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { callsOf, pathOf, textOf } from "./trace.ts";

/** How many daemons run at once. */
const ABREAST = 4;
const PUBLISHERS = 4;
/** More than there are syncs before one fails. */
const MAX_PUBLISHES = 500;

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${WITHOUT_STRACE}`, ignore: !HAS_STRACE, fn });
}

/** Runs `check` for some numbers, some at once; what is found names its number. */
async function forEachNumber(
  numbers: Iterable<number>,
  check: (n: number) => Promise<readonly string[]>,
): Promise<string[]> {
  const found: string[] = [];
  const queue = [...numbers];
  await Promise.all(Array.from({ length: ABREAST }, async () => {
    for (let n = queue.shift(); n !== undefined; n = queue.shift()) {
      for (const line of await check(n)) found.push(`${n}: ${line}`);
    }
  }));
  return found;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** What was wrong when a call of every thread, that of this number, failed. */
async function failureOf(n: number, calls: string, error: string): Promise<string[]> {
  using directory = scratch();
  const data = `${directory.path}/data`;
  const traceFile = `${directory.path}/trace`;
  const under = straced({
    traceFile,
    calls: [...new Set([...calls.split(","), "openat", "rename", "fsync", "recvfrom", "sendto"])],
    inject: `${calls}:error=${error}:when=${n}`,
    maxBytes: 256,
  });
  const found: string[] = [];
  let publishes: Publish[] = [];
  await using program = launch({ data, under });
  const port = await listeningPort(program.stderr);
  if (port !== undefined) {
    const uri = `http://127.0.0.1:${port}`;
    const done = (all: readonly Publish[]) => all.length >= MAX_PUBLISHES;
    publishes = await publishMany(uri, { publishers: PUBLISHERS, topic: "t", done });
  }
  const goesOn = publishes.length > 0 && publishes.every(({ status }) => status === 202);
  if (goesOn) program.kill("SIGKILL");
  const code = await program.code;
  const fatal = (await program.stderr.rest()).filter((line) => line.includes('"evt":"journal_fatal"'));
  const { failed, violations } = audit(await Deno.readFile(traceFile), data);
  found.push(...violations);
  if (goesOn) {
    // SQLite doesn't look at what the sync of a directory has come to; that the names are synced is audited.
    if (failed !== data) found.push(`it goes on after ${failed}`);
  } else {
    if (code !== EXIT.journalFailed) found.push(`it ended with ${code}`);
    if (port !== undefined && fatal.length !== 1) found.push(`it said ${fatal.length} times why`);
  }
  found.push(...await violationsAfterRestart(data, publishes));
  return found;
}

/**
 * Which file a call failed on, and what was acknowledged that should not have been: what was asked for after that, and
 * what is in a file whose name is not known to be on the disk.
 */
function audit(
  trace: Uint8Array,
  data: string,
): { readonly failed: string | undefined; readonly violations: string[] } {
  const violations: string[] = [];
  let failed: string | undefined;
  let failedAt = Infinity;
  const requestedAt = new Map<string, number>();
  const unsyncedNames = new Set<string>();
  for (const { name, args, result, injected, endedAt } of callsOf(trace)) {
    const [first = "", second = ""] = args;
    const path = name === "openat" || name === "rename" ? textOf(second) : pathOf(first);
    const isData = path === data || path?.startsWith(`${data}/`);
    if (injected && isData) {
      failed = path;
      failedAt = endedAt;
    }
    if (isData && result >= 0) {
      if (name === "rename" || (name === "openat" && args[2]!.includes("O_CREAT"))) unsyncedNames.add(path!);
      if (name === "fsync" && path === data) unsyncedNames.clear();
    }
    if (name === "recvfrom") requestedAt.set(first, endedAt);
    if (name === "sendto" && textOf(second)!.startsWith("HTTP/1.1 202")) {
      if (failed !== data && requestedAt.get(first)! > failedAt) violations.push(`line ${endedAt}: acknowledged later`);
      if (unsyncedNames.size > 0) {
        violations.push(`line ${endedAt}: acknowledged before ${[...unsyncedNames]} are there`);
      }
    }
  }
  if (failed === undefined) violations.push("no call failed");
  return { failed, violations };
}

test("msgbusd acknowledges nothing after an fsync has failed, ends with 74, and has lost nothing", async () => {
  assertEquals(await forEachNumber(upTo(countOfRuns(40)), (n) => failureOf(n, "fsync,fdatasync", "EIO")), []);
});

/** How much is published until the write-ahead log is moved to its place for certain, and in what pieces. */
const CHECKPOINT_BYTES = 5 * 1024 ** 2;
const PIECE_BYTES = 512 * 1024;
/** From the fifth one on each is a checkpoint, for which much has to be written first. */
const MAX_CUTS = 50;
/** How many files the journal opens for a backup, at least. */
const OPENED_FOR_BACKUP = 5;

/** What a failing start may end with. */
const FAILED_STARTS: ReadonlySet<number> = new Set([EXIT.damaged, EXIT.unwritable, EXIT.journalFailed]);

/** What msgbusd may have in its directory at one time or another. */
const NAMES = [
  ...["head", "lock", "journal.db", "journal.db-wal", "journal.db.sync"],
  ...["journal.db.new", "journal.db.new-journal", "journal.db.new-wal"],
  ...["backup.tmp", "backup.tmp-journal", "backup.tmp-wal"],
];

/** What it needs at the next start. */
const KEPT = ["head", "journal.db", "journal.db-wal"];

/** What it may go on without, if it can't be opened once: nothing is written through it. */
const NEEDLESS: ReadonlySet<string | undefined> = new Set([
  // SQLite doesn't mind that it can't sync the directory; the journal does that itself, which is audited.
  "",
  // How fast the disk is: unknown, so a worker waits for it.
  "journal.db.sync",
  // Who only reads it tries again, and who copies it only asks first whether both are the same.
  ...["journal.db-wal", "backup.tmp-wal"],
]);

/** A call that fails, only where it is about the files of the data directory: Deno opens others, too. */
interface FileCall {
  readonly call: "openat" | "ftruncate";
  /** Which one, counted for each thread. */
  readonly n: number;
  /** Whether there is a journal already, of a msgbusd that was killed. */
  readonly killedBefore: boolean;
}

/** What was wrong when such a call failed. */
async function failureOfFile({ call, n, killedBefore }: FileCall): Promise<string[]> {
  using directory = scratch();
  const data = `${directory.path}/data`;
  const traceFile = `${directory.path}/trace`;
  const under = straced({
    traceFile,
    calls: ["openat", "rename", "fsync", "ftruncate", "write"],
    paths: [data, ...NAMES.map((name) => `${data}/${name}`)],
    inject: `${call}:error=EIO:when=${n}`,
    maxBytes: 64,
  });
  const publishes = killedBefore ? await publishAndKill(data) : [];
  const found: string[] = [];
  await using program = launch({ data, under });
  const said: string[] = [];
  let port: string | undefined;
  for (let line = await program.stderr.next(); line !== undefined; line = await program.stderr.next()) {
    said.push(line);
    port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) break;
  }
  let isBackupRefused = false;
  if (port !== undefined) {
    const uri = `http://127.0.0.1:${port}`;
    // Where the disk is slow the journal moves to another thread, whose calls are counted anew.
    const done = call === "openat"
      ? await publishAndBackUp(uri, {
        rounds: 1 + Math.ceil(2 * n / OPENED_FOR_BACKUP),
        copy: `${directory.path}/copy`,
      })
      : await publishMuch(uri, 2 * n);
    isBackupRefused = done.isBackupRefused;
    found.push(...done.violations);
    publishes.push(...done.publishes);
  }
  const goesOn = port !== undefined && publishes.every(({ status }) => status === 202);
  if (goesOn) program.kill("SIGKILL");
  const code = await program.code;
  said.push(...await program.stderr.rest());
  const { failed, commitsAfter, violations } = auditFiles(await Deno.readFile(traceFile), data);
  found.push(...violations);
  if (goesOn) {
    const isHarmless = call === "openat" && (isBackupRefused || NEEDLESS.has(failed));
    if (!isHarmless) found.push(`it goes on after ${call} of ${failed}`);
  } else if (port === undefined) {
    if (!FAILED_STARTS.has(code)) found.push(`it ended with ${code}`);
    if (said.length !== 1 || !said[0]!.startsWith("msgbusd: ")) found.push(`it said ${said.join("; ")}`);
  } else {
    if (code !== EXIT.journalFailed) found.push(`it ended with ${code}`);
    const fatal = said.filter((line) => line.includes('"evt":"journal_fatal"'));
    if (fatal.length !== 1) found.push(`it said ${fatal.length} times why`);
    if (commitsAfter > 0) found.push(`it acknowledged ${commitsAfter} transactions after that`);
  }
  found.push(...await violationsAfterRestart(data, publishes));
  return found.map((line) => `${killedBefore ? "after a kill" : "at first"}, ${failed}: ${line}`);
}

/** Makes a journal, and leaves it as it is then. */
async function publishAndKill(data: string): Promise<Publish[]> {
  await using daemon = await durableDaemon({ data });
  const done = (all: readonly Publish[]) => all.length >= 8;
  const publishes = await publishMany(daemon.uri, { publishers: PUBLISHERS, topic: "t", done });
  daemon.kill("SIGKILL");
  return publishes;
}

/** What came of using a msgbusd. */
interface Used {
  readonly publishes: Publish[];
  readonly isBackupRefused: boolean;
  /** What is wrong with what it gave. */
  readonly violations: readonly string[];
}

/** Publishes and makes a backup, by turns, until so many are made or nobody answers. */
async function publishAndBackUp(
  uri: string,
  { rounds, copy }: { readonly rounds: number; readonly copy: string },
): Promise<Used> {
  const publishes: Publish[] = [];
  const violations: string[] = [];
  let isBackupRefused = false;
  for (let round = 0; round < rounds; round++) {
    const done = (all: readonly Publish[]) => all.length >= 8;
    publishes.push(...await publishMany(uri, { publishers: PUBLISHERS, topic: "t", done }));
    if (publishes.some(({ status }) => status === undefined)) break;
    const backup = await fetch(`${uri}/-/backup`).then(async (response) => {
      return { status: response.status, bytes: await response.bytes() };
    }).catch(() => undefined);
    isBackupRefused ||= backup?.status !== 200;
    if (backup?.status !== 200) continue;
    const acknowledged = publishes.filter(({ status }) => status === 202).length;
    const copied = await messagesIn(backup.bytes, copy);
    if (copied < acknowledged) violations.push(`a backup has ${copied} of ${acknowledged}`);
  }
  return { publishes, isBackupRefused, violations };
}

/** How many messages a backup has, of all topics. */
async function messagesIn(backup: Uint8Array, directory: string): Promise<number> {
  await Deno.mkdir(directory, { mode: 0o700 });
  const { database: path, head: headPath } = pathsIn(directory);
  await Deno.writeFile(path, backup, { mode: 0o600 });
  const { journal, content } = Journal.open({ path, headPath, acceptLoss: false, nowMs: Date.now() });
  journal.close();
  await Deno.remove(directory, { recursive: true });
  return content.ids.length;
}

/** Publishes until the write-ahead log was moved to its place so often, or nobody answers. What is large doesn't stay. */
async function publishMuch(uri: string, checkpoints: number): Promise<Used> {
  const publishes: Publish[] = [];
  const piece = "x".repeat(PIECE_BYTES);
  for (let bytes = 0; bytes < checkpoints * CHECKPOINT_BYTES; bytes += PIECE_BYTES) {
    const large = publish(uri, "large?ttl=1ms", piece);
    publishes.push(await publish(uri, "t", `${bytes}`));
    if ((await large).status === undefined || publishes.at(-1)!.status === undefined) break;
  }
  // Who asks after the end learns of it.
  publishes.push(await publish(uri, "t", "last"));
  return { publishes, isBackupRefused: false, violations: [] };
}

/**
 * Which file a call failed on, by its name in the directory, `""` for that itself; how many transactions were acknowledged
 * later; and which were while the name of a file that they are in was not known to be on the disk.
 */
function auditFiles(
  trace: Uint8Array,
  data: string,
): { readonly failed: string | undefined; readonly commitsAfter: number; readonly violations: string[] } {
  const violations: string[] = [];
  const unsyncedNames = new Set<string>();
  let failed: string | undefined;
  let commitsAfter = 0;
  /** Whether the head is open as it is made, and its name not synced. */
  let isHeadNew = false;
  for (const { name, args, result, injected, endedAt } of callsOf(trace)) {
    const [first = "", second = ""] = args;
    const path = (name === "openat" || name === "rename" ? textOf(second) : pathOf(first))!.slice(data.length + 1);
    if (injected) failed ??= path;
    if (result < 0) continue;
    if ((name === "rename" || (name === "openat" && args[2]!.includes("O_CREAT"))) && KEPT.includes(path)) {
      unsyncedNames.add(path);
      if (path === "head") isHeadNew = true;
    }
    if (name === "fsync" && path === "") {
      unsyncedNames.clear();
      isHeadNew = false;
    }
    // It is written before each acknowledgement, and once when it is opened.
    if (name !== "write" || path !== "head" || isHeadNew) continue;
    if (failed !== undefined) commitsAfter++;
    if (unsyncedNames.size > 0) violations.push(`line ${endedAt}: acknowledged before ${[...unsyncedNames]} are there`);
  }
  if (failed === undefined) violations.push("no call failed");
  return { failed, commitsAfter, violations };
}

for (const killedBefore of [false, true]) {
  const journal = killedBefore ? "of a journal that was left behind" : "of a new journal";
  test(`msgbusd loses nothing where a file ${journal} can't be opened: it doesn't start, ends with 74, or needs none`, async () => {
    const numbers = numbersOfRuns(killedBefore ? [2, 5, 8, 9] : [3, 6, 9, 12, 15, 18, 24]);
    assertEquals(await forEachNumber(numbers, (n) => failureOfFile({ call: "openat", n, killedBefore })), []);
  });
}

test("msgbusd acknowledges nothing after a file could not be cut, ends with 74, and has lost nothing", async () => {
  const failureAt = (n: number) => failureOfFile({ call: "ftruncate", n, killedBefore: n % 2 === 0 });
  const numbers = numbersOfRuns([1, 2, 3, 4, 5]).filter((n) => n <= MAX_CUTS);
  assertEquals(await forEachNumber(numbers, failureAt), []);
});
