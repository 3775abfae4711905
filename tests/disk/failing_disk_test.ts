/**
 * msgbusd when a call to the disk fails: nothing is acknowledged from then on, it ends, and the next one has everything.
 * `-- --runs=200` goes further than CI.
 *
 * @module
 */

import { EXIT } from "../../lib/daemon/lifecycle.ts";
import { assertEquals } from "../deps.ts";
import type { Lines } from "../processes.ts";
import { countOfRuns } from "./arguments.ts";
import { launch, type Publish, publishMany, violationsAfterRestart } from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { callsOf, pathOf, textOf } from "./trace.ts";

/** How many daemons run at once. */
const ABREAST = 4;
const PUBLISHERS = 4;

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
    calls: [...calls.split(","), "recvfrom", "sendto", "writev"],
    inject: `${calls}:error=${error}:when=${n}`,
    maxBytes: 16,
  });
  const found: string[] = [];
  let publishes: Publish[] = [];
  await using program = launch({ data, under });
  const port = await portOf(program.stderr);
  if (port !== undefined) {
    publishes = await publishMany(`http://127.0.0.1:${port}`, { publishers: PUBLISHERS, topic: "t" });
  }
  const code = await program.code;
  if (code !== EXIT.journalFailed) found.push(`it ended with ${code}`);
  const fatal = (await program.stderr.rest()).filter((line) => line.includes('"evt":"journal_fatal"'));
  if (port !== undefined && fatal.length !== 1) found.push(`it said ${fatal.length} times why`);
  found.push(...acknowledgedLater(await Deno.readFile(traceFile), data));
  found.push(...await violationsAfterRestart(data, publishes));
  return found;
}

/** The port it listens on, when it does; `undefined` if it ends before. */
async function portOf(lines: Lines): Promise<string | undefined> {
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) return port;
  }
  return undefined;
}

/** The requests that were read after a call on the data had failed, and were answered with success. */
function acknowledgedLater(trace: Uint8Array, data: string): string[] {
  const found: string[] = [];
  let failedAt = Infinity;
  const requestedAt = new Map<string, number>();
  for (const { name, args, injected, endedAt } of callsOf(trace)) {
    const [first = "", second = ""] = args;
    if (injected && [pathOf(first), textOf(second)].some((path) => path?.startsWith(data))) failedAt = endedAt;
    if (name === "recvfrom") requestedAt.set(first, endedAt);
    const isSuccess = name === "sendto" && textOf(second)?.startsWith("HTTP/1.1 202");
    if (isSuccess && requestedAt.get(first)! > failedAt) found.push(`line ${endedAt}: acknowledged after the failure`);
  }
  if (failedAt === Infinity) found.push("no call failed");
  return found;
}

test("msgbusd acknowledges nothing after an fsync has failed, ends with 74, and has lost nothing", async () => {
  assertEquals(await forEachNumber(countOfRuns(24), (n) => failureOf(n, "fsync,fdatasync", "EIO")), []);
});
