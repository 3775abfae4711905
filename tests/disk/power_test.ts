/**
 * The journal when the power is cut, at any moment and with any part of what was not synced lost: everything that was
 * acknowledged is there, and nothing that was not asked for. `-- --runs=2000 --seeds=10 --seed=$SEED` goes further than CI,
 * and replays.
 *
 * @module
 */

import { assertEquals, assertGreater } from "../deps.ts";
import { countOfRuns, seeds } from "./arguments.ts";
import { cutsOf, type Files } from "./crash_disk.ts";
import { damageOf, type Progress } from "./kept.ts";
import { Random } from "./random.ts";
import { quickDirectory } from "./small_disk.ts";
import { HAS_STRACE, record, WITHOUT_STRACE } from "./strace.ts";
import { eventsOf, type TraceEvent } from "./trace.ts";
import { stepsOf } from "./workload.ts";

/** About 300 commits. */
const STEPS = 1200;

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${WITHOUT_STRACE}`, ignore: !HAS_STRACE, fn });
}

/** How far the program had come when so much had happened. */
function* progressOf(events: readonly TraceEvent[]): Generator<Progress> {
  let [called, acked] = [0, 0];
  yield { called, acked };
  for (const event of events) {
    const [, word, count] = event.do === "line" ? /^(\w+) (\d+)$/.exec(event.text)! : [];
    if (word === "called") called = Number(count);
    if (word === "acked") acked = Number(count);
    yield { called, acked };
  }
}

/** What was wrong after power cuts, each with what it takes to see it again. */
async function damages(
  options: { readonly seed: number; readonly cuts: number; readonly settings: string },
): Promise<string[]> {
  const { seed, cuts, settings } = options;
  await using directory = await quickDirectory();
  const args = [`${seed}`, `${STEPS}`, settings];
  const trace = await record(new URL("store_program.ts", import.meta.url), { directory: directory.path, args });
  const data = `${directory.path}/data`;
  const events = eventsOf(trace, data);
  const progress = [...progressOf(events)];
  const steps = stepsOf(seed, STEPS);
  assertEquals(progress.at(-1), { called: STEPS, acked: STEPS });
  const found: string[] = [];
  let number = 0;
  for (const { at, survival, files } of cutsOf(events, { count: cuts, random: new Random(seed) })) {
    layOut(data, files);
    const damage = damageOf(data, steps, progress[at]!);
    if (damage !== undefined) {
      found.push(`seed ${seed}, ${settings}: cut ${number} of ${cuts}, after ${at} events, ${survival}: ${damage}`);
    }
    number++;
  }
  return found;
}

function layOut(directory: string, files: Files): void {
  for (const { name } of Deno.readDirSync(directory)) Deno.removeSync(`${directory}/${name}`);
  for (const [name, bytes] of files) Deno.writeFileSync(`${directory}/${name}`, bytes, { mode: 0o600 });
}

test("SqliteStore loses nothing that it has acknowledged when the power is cut", async () => {
  for (const seed of seeds()) {
    for (const settings of ["", "eager"]) {
      assertEquals(await damages({ seed, settings, cuts: countOfRuns(1000) / 2 }), []);
    }
  }
});

test("SqliteStore loses what it has acknowledged if its database syncs less", async () => {
  const found = await damages({ seed: 1, settings: "synchronous=NORMAL", cuts: 100 });
  assertGreater(found.length, 0);
});

test("SqliteStore doesn't even open after many power cuts if its database never syncs", async () => {
  const found = await damages({ seed: 1, settings: "eager&synchronous=OFF", cuts: 100 });
  assertGreater(found.filter((damage) => damage.includes("it can't be opened")).length, 0);
});
