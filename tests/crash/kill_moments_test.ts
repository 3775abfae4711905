/**
 * C8: msgbusd is killed while it does what it does rarely: at its first start, while it makes a backup, while a topic is
 * deleted. The next start is ready, and nothing that was acknowledged is lost.
 *
 * @module
 */

import { assertEquals } from "../deps.ts";
import { Connection } from "../history/connection.ts";
import { History, randomOf } from "../history/history.ts";
import { Crowd } from "../history/recorder.ts";
import { start } from "../processes.ts";
import { assertCleanOf, KEEPS_ALL, KEEPS_ALL_ARGS, numberOf, temporaryDirectory, Victim, work } from "./victim.ts";

const TIMES = numberOf("times") ?? 10;
const SEED = numberOf("seed") ?? Math.floor(Math.random() * 2 ** 32);

Deno.test("msgbusd --data: killed at any moment of its first start, it starts the next time, and keeps what it is given", async () => {
  await using directory = await temporaryDirectory();
  const firstStartMs = await timeOf(`${directory.path}/measured`);
  for (let i = 0; i < TIMES; i++) {
    const data = `${directory.path}/${i}`;
    {
      await using program = start("msgbusd", ["--bind", "127.0.0.1:0", "--data", data]);
      await work(firstStartMs * (i + 1) / TIMES);
      program.kill("SIGKILL");
      await program.code;
    }
    using history = new History(KEEPS_ALL);
    await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", data]);
    const crowd = new Crowd({ history, place: victim, random: randomOf(i), topics: ["t"] });
    await crowd.finish();
    assertCleanOf(i, history.lines);
  }
});

/** How long a first start takes, in milliseconds. */
async function timeOf(data: string): Promise<number> {
  const before = performance.now();
  await using _victim = await Victim.start(["--data", data]);
  return performance.now() - before;
}

Deno.test("msgbusd --data: killed while it makes a backup, it leaves none, and loses nothing", async () => {
  await using directory = await temporaryDirectory();
  const data = `${directory.path}/data`;
  const random = randomOf(SEED);
  using history = new History(KEEPS_ALL);
  await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", data]);
  const crowd = new Crowd({ history, place: victim, random });
  crowd.start({ publishers: 4, workers: 2, subscribers: 1 });
  for (let i = 0; i < TIMES; i++) {
    await crowd.published(crowd.acked + 50);
    using connection = await Connection.open(victim.port);
    const backup = connection.ask({ target: "/-/backup" }).then(({ status }) => status, () => "cut");
    await work(30 * random());
    await victim.kill(crowd);
    const before = await backup;
    await victim.revive(crowd);
    // Whole, or none: what was cut off is no answer, and leaves nothing behind.
    if (before !== 200) assertEquals(before, "cut");
    const names = (await Array.fromAsync(Deno.readDir(data))).map(({ name }) => name);
    assertEquals(names.filter((name) => name.endsWith(".tmp")), []);
  }
  await crowd.finish();
  assertCleanOf(SEED, history.lines);
});

Deno.test("msgbusd --data: killed while topics are deleted, it has them whole or not at all, with another epoch", async () => {
  await using directory = await temporaryDirectory();
  const random = randomOf(SEED);
  using history = new History(KEEPS_ALL);
  await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", `${directory.path}/data`]);
  const crowd = new Crowd({ history, place: victim, random });
  crowd.start({ publishers: 4, workers: 2, pullers: 1, subscribers: 3, patterns: 1 });
  for (let i = 0; i < TIMES; i++) {
    await crowd.published(crowd.acked + 50);
    const deleted = crowd.delete(["a", "b", "c/d"][i % 3]!);
    await work(10 * random());
    await victim.kill(crowd);
    await victim.revive(crowd);
    await deleted;
  }
  await crowd.finish();
  assertCleanOf(SEED, history.lines);
});
