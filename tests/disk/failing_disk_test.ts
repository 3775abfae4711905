/**
 * msgbusd when a call to the disk fails: nothing is acknowledged from then on, it ends, and the next one has everything.
 * `-- --runs=200` goes further than CI.
 *
 * @module
 */

import { EXIT } from "../../lib/daemon/lifecycle.ts";
import { assertEquals } from "../deps.ts";
import { countOfRuns } from "./arguments.ts";
import { launch, listeningPort, type Publish, publishMany, violationsAfterRestart } from "./durable_daemon.ts";
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

/** Runs `check` for 1, 2, … `count`, some at once; what is found names its number. */
async function forEachNumber(count: number, check: (n: number) => Promise<readonly string[]>): Promise<string[]> {
  const found: string[] = [];
  let next = 1;
  await Promise.all(Array.from({ length: ABREAST }, async () => {
    while (next <= count) {
      const n = next++;
      for (const line of await check(n)) found.push(`${n}: ${line}`);
    }
  }));
  return found;
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
  assertEquals(await forEachNumber(countOfRuns(40), (n) => failureOf(n, "fsync,fdatasync", "EIO")), []);
});
