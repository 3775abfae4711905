/**
 * C8: msgbusd is killed at a certain write, while the write-ahead log is moved to its place, and while what a limit dropped
 * is deleted. The next start is ready, and nothing that was acknowledged, and is to stay, is lost.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { pathsIn } from "../../lib/store/directory.ts";
import { checkJournal } from "../../lib/store/sqlite.ts";
import { assert, assertEquals } from "../deps.ts";
import { browse, durableDaemon, launch, publishMany } from "../disk/durable_daemon.ts";
import { HAS_STRACE, straced, WITHOUT_STRACE } from "../disk/strace.ts";
import { History, randomOf } from "../history/history.ts";
import { Crowd } from "../history/recorder.ts";
import { assertCleanOf, KEEPS_ALL, KEEPS_ALL_ARGS, numberOf, temporaryDirectory, Victim } from "./victim.ts";

const TIMES = numberOf("times") ?? 10;
const SEED = numberOf("seed") ?? Math.floor(Math.random() * 2 ** 32);
/** How many daemons run at once. */
const ABREAST = 4;

/** How many pages are moved to their place at once, about. */
const MOVED_PAGES = 600;

/** How often it is kept from that before it may: its log grows, and strace looks at every call that reads it. */
const MOVED_AFTER = 5;

/** msgbusd is killed when it writes to this file for the nth time, counted for each thread. */
function killedAtWrite(n: number, path: string): string[] {
  const inject = `pwrite64:signal=SIGKILL:when=${n}`;
  return straced({ traceFile: "/dev/null", calls: ["pwrite64"], paths: [path], inject, maxBytes: 0 });
}

/** Has a msgbusd killed so often, each time while it moves its log to its place. */
async function killWhileMoving({ times, seed }: { readonly times: number; readonly seed: number }): Promise<void> {
  await using directory = await temporaryDirectory();
  const data = `${await Deno.realPath(directory.path)}/data`;
  const random = randomOf(seed);
  using history = new History(KEEPS_ALL);
  await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", data]);
  const crowd = new Crowd({ history, place: victim, random, payloadBytes: 65_536 });
  crowd.start({ publishers: 4 });
  await crowd.published(50);
  await victim.kill(crowd);
  for (let i = 0; i < times; i++) {
    // Nothing else writes to the database itself.
    await victim.doom(crowd, killedAtWrite(1 + Math.floor(MOVED_PAGES * random()), pathsIn(data).database));
    if ((i + 1) % MOVED_AFTER !== 0) continue;
    await victim.revive(crowd);
    assertEquals(await victim.stop(crowd), 0);
  }
  await victim.revive(crowd);
  await crowd.finish();
  assertCleanOf(seed, history.lines);
}

Deno.test({
  name: `msgbusd --data: killed while its log is moved to its place, it loses nothing${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    const times = Math.ceil(TIMES / ABREAST);
    await Promise.all(Array.from({ length: ABREAST }, (_, i) => killWhileMoving({ times, seed: SEED + i })));
  },
});

/** How many messages there are, and how many stay. */
const MESSAGES = 600;
const KEPT_MESSAGES = 20;
/** How many writes to its log that takes at least, in several transactions; 190 were counted. */
const DELETING_WRITES = 160;

Deno.test({
  name: `msgbusd --data: killed while it deletes what a limit dropped, it has what is left${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    await using directory = await temporaryDirectory();
    const full = `${await Deno.realPath(directory.path)}/full`;
    await using daemon = await durableDaemon({ data: full });
    const done = (all: readonly unknown[]) => all.length >= MESSAGES;
    const publishes = await publishMany(daemon.uri, { publishers: 1, topic: "t", bytes: 5000, done });
    daemon.kill("SIGKILL");
    await daemon.code;
    const newest = publishes.slice(-KEPT_MESSAGES).map(({ id, payload }) => [id, payload]);
    const rows: number[] = [];
    let next = 0;
    await Promise.all(Array.from({ length: ABREAST }, async () => {
      while (next < TIMES) {
        const data = `${full}-${next}`;
        const n = 1 + Math.floor(DELETING_WRITES * (next++ + 0.5) / TIMES);
        await copyDirectory(full, data);
        const args = ["--max-queue-size", `${KEPT_MESSAGES}`];
        {
          // Nothing else has it write to its log.
          await using program = launch({ data, args, under: killedAtWrite(n, `${pathsIn(data).database}-wal`) });
          await program.code;
        }
        rows.push(await entriesIn(data));
        await using after = await durableDaemon({ data, args });
        assertEquals([...await browse(after.uri, "t")], newest, `killed at write ${n}`);
        after.kill("SIGTERM");
        assertEquals(await after.code, 0);
        const { missing, damaged, problems } = await checkJournal(data);
        assertEquals({ missing, damaged, problems }, { missing: 0, damaged: 0, problems: [] }, `killed at write ${n}`);
      }
    }));
    assert(rows.some((count) => count > KEPT_MESSAGES + 1 && count < MESSAGES), `never meanwhile: ${rows}`);
  },
});

/** How many entries there are of messages, dropped ones included. */
async function entriesIn(data: string): Promise<number> {
  await copyDirectory(data, `${data}-looked`);
  using database = new DatabaseSync(pathsIn(`${data}-looked`).database);
  return Number(database.prepare("SELECT count(*) AS count FROM entry").get()!.count);
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { mode: 0o700 });
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
}
