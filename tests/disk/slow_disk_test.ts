/**
 * msgbusd on a disk that takes its time: only those who wait for it wait.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess } from "../deps.ts";
import { browse, durableDaemon, publish, publishMany } from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { callsOf, pathOf } from "./trace.ts";

const DELAY_MS = 200;
const PUBLISHERS = 256;
/** So many that the few commits at the beginning don't count. */
const TO_PUBLISH = 18 * PUBLISHERS;

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
    assertEquals((await publish(daemon.uri, "early", "there")).status, 202);
    let published = false;
    const asked = ["/-/health", "/early?since=earliest"].map((path) => times(`${daemon.uri}${path}`, () => published));
    const publishes = await publishMany(daemon.uri, {
      publishers: PUBLISHERS,
      topic: "t",
      done: (all) => all.length > TO_PUBLISH - PUBLISHERS,
    });
    published = true;
    // The one time that is measured in a test: commits take four times as long, one after the other.
    for (const tookMs of await Promise.all(asked)) assertLess(medianOf(tookMs), DELAY_MS / 4);
    assertEquals(publishes.filter(({ status }) => status !== 202), []);
    assertEquals((await browse(daemon.uri, "t")).size, publishes.length);
    daemon.kill("SIGKILL");
    await daemon.code;
    await daemon.stderr.rest();
    const commits = [...callsOf(await Deno.readFile(traceFile))].filter(({ args }) =>
      pathOf(args[0]!)?.endsWith("-wal")
    );
    assertGreaterOrEqual(publishes.length / commits.length, 100);
  },
});

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

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
