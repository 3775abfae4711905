/**
 * msgbusd on a disk that answers wrongly: it may refuse, or end, but what it gives is what was published.
 *
 * @module
 */

import { EXIT } from "../../lib/daemon/lifecycle.ts";
import { assert, assertEquals } from "../deps.ts";
import { countOfRuns } from "./arguments.ts";
import {
  durableDaemon,
  launch,
  listeningPort,
  type Publish,
  publishMany,
  violationsAfterRestart,
} from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, type Tracing, WITHOUT_STRACE } from "./strace.ts";

/** Where in a commit, and how often, the disk answers wrongly: at another place of it each time. */
const FIRST_PLACE = 60;
const STEP = 3;

const UNREADABLE: ReadonlySet<number> = new Set([EXIT.journalFailed, EXIT.damaged]);

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${WITHOUT_STRACE}`, ignore: !HAS_STRACE, fn });
}

/** Everything that can be read of a topic, however much is damaged or refused. */
async function readable(uri: string): Promise<Map<number, string>> {
  const messages = new Map<number, string>();
  for (let since = "earliest";;) {
    const response = await fetch(`${uri}/t?since=${encodeURIComponent(since)}&limit=10000`).catch(() => undefined);
    if (response === undefined) return messages;
    const text = await response.text();
    const next = response.headers.get("msgbus-next");
    if (response.status !== 200 || next === null || next === since || text === "") return messages;
    for (const line of text.split("\n").filter((line) => line !== "")) {
      const { id, payload } = JSON.parse(line);
      messages.set(id, atob(payload));
    }
    since = next;
  }
}

/** What is not what was published under its id. */
function wrong(messages: ReadonlyMap<number, string>, publishes: readonly Publish[]): string[] {
  const sent = new Set(publishes.map(({ payload }) => payload));
  const byId = new Map(publishes.flatMap(({ id, payload }) => id === undefined ? [] : [[id, payload] as const]));
  return [...messages].filter(([id, payload]) => payload !== (byId.get(id) ?? payload) || !sent.has(payload))
    .map(([id, payload]) => `${id} is ${payload}`);
}

/** What is traced of a msgbusd whose data is in this directory. */
function tracingOf(directory: string): Tracing {
  const paths = ["journal.db", "journal.db-wal"].map((name) => `${directory}/data/${name}`);
  return { traceFile: `${directory}/trace`, calls: ["pwrite64", "pread64"], paths, maxBytes: 0 };
}

/** Whether a call was falsified. */
async function wasFalsified(directory: string): Promise<boolean> {
  return (await Deno.readTextFile(`${directory}/trace`)).includes("(INJECTED)");
}

/** Publishes to a msgbusd whose calls are falsified, reads, starts another one, and reads again. */
async function falsified(inject: string): Promise<string[]> {
  using directory = scratch();
  const data = `${directory.path}/data`;
  const under = straced({ ...tracingOf(directory.path), inject });
  const found: string[] = [];
  const publishes: Publish[] = [];
  {
    // So little memory that it reads from the disk.
    await using daemon = await durableDaemon({ data, under, args: ["--max-memory", "64KiB"] });
    const done = (all: readonly Publish[]) => all.length >= 60;
    publishes.push(...await publishMany(daemon.uri, { publishers: 2, topic: "t", bytes: 4000, done }));
    assert(publishes.some(({ status }) => status === 202), `${inject}: nothing was acknowledged`);
    found.push(...wrong(await readable(daemon.uri), publishes));
  }
  if (!await wasFalsified(directory.path)) found.push("nothing was falsified");
  await using program = launch({ data });
  const port = await listeningPort(program.stderr);
  // It may say that it is damaged: what the disk has kept nothing of it can't have.
  if (port === undefined) assertEquals(await program.code, EXIT.damaged);
  else found.push(...wrong(await readable(`http://127.0.0.1:${port}`), publishes));
  return found.map((line) => `${inject}: ${line}`);
}

async function falsifiedAt(injectOf: (place: number) => string): Promise<string[]> {
  const found: string[] = [];
  for (let n = 0; n < countOfRuns(5); n++) found.push(...await falsified(injectOf(FIRST_PLACE + STEP * n)));
  return found;
}

test("msgbusd gives no wrong byte after the disk has taken less than it was given, or has lost it", async () => {
  assertEquals(await falsifiedAt((place) => `pwrite64:retval=${place % 2 === 0 ? 0 : 100}:when=${place}`), []);
});

test("msgbusd gives no wrong byte where the disk fails to be read, and loses nothing", async () => {
  using directory = scratch();
  const data = `${directory.path}/data`;
  const publishes: Publish[] = [];
  {
    await using daemon = await durableDaemon({ data });
    const done = (all: readonly Publish[]) => all.length >= 60;
    publishes.push(...await publishMany(daemon.uri, { publishers: 2, topic: "t", bytes: 4000, done }));
  }
  const found: string[] = [];
  for (let times = 1; times <= countOfRuns(8); times++) {
    const inject = `pread64:error=EIO:when=${5 * times}`;
    const under = straced({ ...tracingOf(directory.path), inject });
    {
      await using program = launch({ data, under, args: ["--max-memory", "64KiB"] });
      const port = await listeningPort(program.stderr);
      // To SQLite what can't be read is damaged.
      if (port === undefined) assert(UNREADABLE.has(await program.code), inject);
      else found.push(...wrong(await readable(`http://127.0.0.1:${port}`), publishes));
    }
    if (!await wasFalsified(directory.path)) found.push(`${inject}: nothing was falsified`);
  }
  found.push(...await violationsAfterRestart(data, publishes));
  assertEquals(found, []);
});

test("msgbusd gives no wrong byte where the disk asks for a repeat", async () => {
  assertEquals(await falsifiedAt((place) => `pwrite64,pread64:error=EAGAIN:when=${place}`), []);
});
