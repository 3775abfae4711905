/**
 * That the power cuts of these tests are ones: what is rebuilt from a trace is what was on the disk, a database that syncs
 * survives them, and one that does not is caught.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { assertEquals, assertGreater } from "../deps.ts";
import { CrashDisk, type Cut, cutsOf, type Files } from "./crash_disk.ts";
import { Random } from "./random.ts";
import { HAS_STRACE, record, scratch, WITHOUT_STRACE } from "./strace.ts";
import { eventsOf, type TraceEvent } from "./trace.ts";
import { WAL_DATABASE, walPayload } from "./wal_program.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${WITHOUT_STRACE}`, ignore: !HAS_STRACE, fn });
}

async function eventsOfWal(directory: string, synchronous: string): Promise<TraceEvent[]> {
  const module = new URL("wal_program.ts", import.meta.url);
  return eventsOf(await record(module, { directory, args: [synchronous, "120"] }), directory);
}

/** The number after the last line that begins with `word`. */
function last(events: readonly TraceEvent[], word: string): number {
  const said = events.findLast((event) => event.do === "line" && event.text.startsWith(`${word} `));
  return said?.do === "line" ? Number(said.text.slice(word.length)) : 0;
}

/** What a cut has done to the database: `undefined` if nothing that was acknowledged is missing. */
function damageOf(directory: string, events: readonly TraceEvent[], cut: Cut): string | undefined {
  const before = events.slice(0, cut.at);
  const acked = last(before, "acked");
  const dropping = last(before, "dropping");
  layOut(directory, cut.files);
  try {
    using database = new DatabaseSync(`${directory}/${WAL_DATABASE}`);
    if (acked === 0) return undefined;
    const rows = database.prepare("SELECT id, payload FROM message ORDER BY id").all();
    const first = Number(rows[0]?.id);
    if (first > dropping) return `begins with ${first}`;
    for (const [index, { id, payload }] of rows.entries()) {
      if (id !== first + index) return `${id} where ${first + index} should be`;
      if (!equal(payload as Uint8Array, walPayload(first + index))) return `${id} is not what was written`;
    }
    return first + rows.length < acked ? `ends with ${first + rows.length - 1}, acknowledged were ${acked}` : undefined;
  } catch (error) {
    return String(error);
  }
}

function layOut(directory: string, files: Files): void {
  for (const { name } of Deno.readDirSync(directory)) Deno.removeSync(`${directory}/${name}`);
  for (const [name, bytes] of files) Deno.writeFileSync(`${directory}/${name}`, bytes);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

async function damages(synchronous: string): Promise<string[]> {
  using directory = scratch();
  const events = await eventsOfWal(directory.path, synchronous);
  assertEquals(last(events, "acked"), 240);
  const found: string[] = [];
  for (const cut of cutsOf(events, { count: 200, random: new Random(1) })) {
    const damage = damageOf(directory.path, events, cut);
    if (damage !== undefined) found.push(damage);
  }
  return found;
}

test("CrashDisk, when nothing is lost, is byte for byte what is on the disk", async () => {
  using directory = scratch();
  const disk = new CrashDisk();
  for (const event of await eventsOfWal(directory.path, "FULL")) disk.replay(event);
  const image = disk.image("all", new Random(1));
  const onDisk = new Map(
    [...Deno.readDirSync(directory.path)].map(({ name }) => [name, Deno.readFileSync(`${directory.path}/${name}`)]),
  );
  assertEquals([...image.keys()].sort(), [...onDisk.keys()].sort());
  for (const [name, bytes] of onDisk) assertEquals(equal(image.get(name)!, bytes), true, name);
});

test("cutsOf loses nothing that was acknowledged with synchronous=FULL", async () => {
  assertEquals(await damages("FULL"), []);
});

test("cutsOf loses what was acknowledged with synchronous=NORMAL", async () => {
  assertGreater((await damages("NORMAL")).filter((damage) => damage.startsWith("ends with")).length, 0);
});

test("cutsOf damages what was written with synchronous=OFF", async () => {
  assertGreater((await damages("OFF")).filter((damage) => damage.includes("malformed")).length, 0);
});
