/**
 * C1: msgbusd is killed at random moments, under load, and started again on the same directory. Nothing that it
 * acknowledged is lost, duplicated, renumbered or handed out again, whoever looks, and every promise of the checker holds.
 *
 * Each round has a directory of its own, so that a history fits into memory. `deno task crash` runs 2000 cycles;
 * `--cycles=` and `--seed=` (`SEED=` with the task) set what is run.
 *
 * @module
 */

import { assert, assertEquals } from "../deps.ts";
import { check } from "../history/checker.ts";
import { History, type Line, randomOf, type Settings } from "../history/history.ts";
import { Crowd } from "../history/recorder.ts";
import {
  assertCleanOf,
  KEEPS_ALL,
  KEEPS_ALL_ARGS,
  numberOf,
  quantile,
  temporaryDirectory,
  Victim,
  work,
} from "./victim.ts";

const CYCLES = numberOf("cycles") ?? 60;
const CYCLES_A_ROUND = 100;
const SEED = numberOf("seed") ?? Math.floor(Math.random() * 2 ** 32);
const CROWD = { publishers: 8, workers: 4, pullers: 2, subscribers: 2, patterns: 1, browsers: 1 };

/** What came of a round. */
interface Round {
  readonly lines: readonly Line[];
  readonly startsMs: readonly number[];
}

/** How to kill, and what. */
interface RoundOptions {
  readonly cycles: number;
  readonly seed: number;
  /** Default: everything is kept. */
  readonly settings?: Settings;
  readonly args: readonly string[];
  /** Whether on a disk. Default: yes. */
  readonly durable?: boolean;
}

/** Kills and starts, so often. */
async function round({ cycles, seed, settings = KEEPS_ALL, args, durable = true }: RoundOptions): Promise<Round> {
  const random = randomOf(seed);
  await using directory = await temporaryDirectory();
  using history = new History(settings);
  await using victim = await Victim.start([...args, ...durable ? ["--data", `${directory.path}/data`] : []]);
  const crowd = new Crowd({ history, place: victim, random });
  crowd.start(CROWD);
  await crowd.published(10); // there is something to lose, however slow the machine is
  for (let cycle = 0; cycle < cycles; cycle++) {
    await work(20 + 480 * random());
    await victim.kill(crowd);
    await victim.revive(crowd);
  }
  await crowd.published(10 * cycles); // the same for what comes after
  await crowd.finish();
  return { lines: history.lines, startsMs: victim.startsMs.slice(1) };
}

function acknowledged(lines: readonly Line[]): Line[] {
  return lines.filter(({ op, outcome }) => op === "publish" && (outcome === "ok" || outcome === "duplicate"));
}

Deno.test(`msgbusd --data: kill -9 under load, ${CYCLES} times, costs nothing that was acknowledged`, async () => {
  // Most of what is retained is not in memory, so that reading goes through the file, too.
  const args = [...KEEPS_ALL_ARGS, "--max-memory", "1MiB"];
  const startsMs: number[] = [];
  let count = 0;
  for (let done = 0; done < CYCLES; done += CYCLES_A_ROUND) {
    const cycles = Math.min(CYCLES_A_ROUND, CYCLES - done);
    const { lines, ...more } = await round({ cycles, seed: SEED + done, args });
    startsMs.push(...more.startsMs);
    assertCleanOf(SEED + done, lines);
    const acks = acknowledged(lines);
    count += acks.length;
    assertEquals(new Set(acks.map(({ durability }) => durability)), new Set(["synced"]));
  }
  const [median, most] = [0.5, 1].map((share) => Math.round(quantile(startsMs, share)));
  const line = `kill -9: ${CYCLES} cycles, ${count} acknowledged, ready after ${median} ms (at most ${most} ms)\n`;
  await Deno.stdout.write(new TextEncoder().encode(line));
});

Deno.test("msgbusd --data: kill -9 while a topic drops its oldest messages costs none that is to be kept", async () => {
  const settings = { ...KEEPS_ALL, maxMessages: 20 };
  const args = [...KEEPS_ALL_ARGS, "--max-queue-size", "20"];
  const { lines } = await round({ cycles: 10, seed: SEED, settings, args });
  assertCleanOf(SEED, lines);
  assert(acknowledged(lines).some(({ id }) => id! > 20), "nothing was dropped");
});

Deno.test("msgbusd without --data: kill -9 costs everything, and the same check says so", async () => {
  const { lines } = await round({ cycles: 1, seed: SEED, args: KEEPS_ALL_ARGS, durable: false });
  const verdicts = check(lines).map(({ verdict }) => verdict);
  assert(verdicts.includes("V1"), `found: ${verdicts.join(" ")}`);
});
