/**
 * A program that asks a store for a workload, and says what it asks and what it is told: `called 7` before it has asked
 * for 7 steps, `acked 5` when it was told that the first 5 are durable.
 *
 * `deno run store_program.ts <directory> <seed> <steps> <settings of store_worker.ts>`
 *
 * @module
 */

import { SqliteStore } from "../../lib/store/sqlite.ts";
import { Random } from "./random.ts";
import { ask, type Step, stepsOf } from "./workload.ts";

const [directory, seed, count, settings] = Deno.args as [string, string, string, string];
const steps = stepsOf(Number(seed), Number(count));
const random = new Random(Number(seed));
/** It is closed and opened again once, and stands still a few times, so that it tidies up. */
const REOPENED_AT = Math.floor(steps.length / 2);
const PAUSES = 4;
const PAUSE_MS = 300;

const acked = new Set<number>();
let firstUnacked = 0;

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function isAcked(index: number): void {
  acked.add(index);
  while (acked.delete(firstUnacked)) firstUnacked++;
  say(`acked ${firstUnacked}`);
}

function open(): Promise<SqliteStore> {
  const workerUrl = new URL(`store_worker.ts?${settings}`, import.meta.url);
  return SqliteStore.create({ directory: `${directory}/data`, workerUrl });
}

async function askFor(store: SqliteStore, step: Step, index: number): Promise<void> {
  const id = await ask(store, step);
  if (step.do === "append" && id !== step.append.expectedId) throw new Error(`Step ${index} was given ${id}`);
  isAcked(index);
}

let store = await open();
store.open();
let before: Promise<unknown> = Promise.resolve();
for (let index = 0; index < steps.length;) {
  const end = Math.min(index + 1 + random.below(4), steps.length);
  say(`called ${end}`);
  const turn: Promise<void>[] = [];
  const start = index;
  for (; index < end; index++) turn.push(askFor(store, steps[index]!, index));
  // One turn is on its way to the disk while the next one gathers.
  await before;
  before = Promise.all(turn);
  const isCrossed = (at: number) => start < at && at <= end;
  if (isCrossed(REOPENED_AT)) {
    await before;
    await store.close();
    store = await open();
    store.open();
  }
  for (let pause = 1; pause <= PAUSES; pause++) {
    if (isCrossed(Math.floor(steps.length * pause / (PAUSES + 1)))) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
await before;
// It is not closed: that would move everything to its place.
Deno.exit(0);
