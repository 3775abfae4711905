/**
 * msgbusd on a disk that takes its time: only those who wait for it wait.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess } from "../deps.ts";
import { browse, durableDaemon, publishMany } from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { callsOf, pathOf } from "./trace.ts";

const DELAY_MS = 200;
const PUBLISHERS = 256;
const TO_PUBLISH = 10 * PUBLISHERS;

Deno.test({
  name: `msgbusd answers, and shows what is committed, while the disk takes 200 ms for an fsync${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    using directory = scratch();
    const data = `${directory.path}/data`;
    const traceFile = `${directory.path}/trace`;
    const under = straced({
      traceFile,
      calls: ["fsync", "fdatasync"],
      inject: `fsync,fdatasync:delay_exit=${DELAY_MS * 1000}`,
    });
    await using daemon = await durableDaemon({ data, under });
    let published = false;
    const health = times(`${daemon.uri}/-/health`, () => published);
    const publishes = await publishMany(daemon.uri, {
      publishers: PUBLISHERS,
      topic: "t",
      done: (all) => all.length > TO_PUBLISH - PUBLISHERS,
    });
    published = true;
    const tookMs = (await health).sort((a, b) => a - b);
    // The one time that is measured in a test: commits take four times as long, one after the other.
    assertLess(tookMs[Math.floor(tookMs.length / 2)]!, DELAY_MS / 4);
    assertEquals(publishes.filter(({ status }) => status !== 202), []);
    assertEquals((await browse(daemon.uri, "t")).size, publishes.length);
    daemon.kill("SIGTERM");
    await daemon.code;
    await daemon.stderr.rest();
    const commits = [...callsOf(await Deno.readFile(traceFile))].filter(({ args }) =>
      pathOf(args[0]!)?.endsWith("-wal")
    );
    assertGreaterOrEqual(publishes.length / commits.length, 100);
  },
});

/** How long the answers to a request take, one after the other, in milliseconds. */
async function times(url: string, done: () => boolean): Promise<number[]> {
  const tookMs: number[] = [];
  while (!done()) {
    const start = performance.now();
    const response = await fetch(url);
    await response.body?.cancel();
    tookMs.push(performance.now() - start);
  }
  return tookMs;
}
