/**
 * That an acknowledgement means what it says, judged by the system calls of msgbusd: what was published is in the
 * write-ahead log, and that was synced, before the answer is written.
 *
 * @module
 */

import { assertEquals } from "../deps.ts";
import { countOfRuns } from "./arguments.ts";
import { durableDaemon, publishMany } from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { callsOf, pathOf, textOf } from "./trace.ts";

/** As {@linkcode publishMany} makes them. */
const PAYLOAD = /[0-9a-f-]{36}:\d+:\d+:/g;

Deno.test({
  name: `msgbusd acknowledges what it has synced, and nothing else${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    using directory = scratch();
    const data = `${directory.path}/data`;
    const traceFile = `${directory.path}/trace`;
    const under = straced({ traceFile, calls: ["pwrite64", "fsync", "fdatasync", "sendto"] });
    await using daemon = await durableDaemon({ data, under });
    const count = countOfRuns(1000);
    const publishes = await publishMany(daemon.uri, { publishers: 8, topic: "t", done: (all) => all.length >= count });
    daemon.kill("SIGKILL");
    await daemon.code;
    await daemon.stderr.rest();
    const payloads = new Map(publishes.map(({ id, payload }) => [id!, payload]));
    assertEquals(payloads.size, publishes.length);

    const written = new Map<string, number>();
    let syncedUpTo = -1;
    const unsynced: string[] = [];
    let answered = 0;
    for (const { name, args, result, begunAt, endedAt } of callsOf(await Deno.readFile(traceFile))) {
      const [first = "", second = ""] = args;
      if (name === "sendto") {
        const answer = textOf(second)!;
        const id = /^HTTP\/1\.1 202 [^]*\r\nmsgbus-id: (\d+)\r\n/i.exec(answer)?.[1];
        if (id === undefined) continue;
        answered++;
        const writtenAt = written.get(payloads.get(Number(id))!) ?? Infinity;
        if (writtenAt >= syncedUpTo) unsynced.push(`${id} was answered on line ${endedAt}`);
      } else if (pathOf(first) === `${data}/journal.db-wal`) {
        if (name === "pwrite64") {
          for (const [payload] of textOf(second)!.matchAll(PAYLOAD)) {
            if (!written.has(payload)) written.set(payload, endedAt);
          }
        } else if (result === 0) syncedUpTo = begunAt;
      }
    }
    assertEquals(unsynced, []);
    assertEquals(answered, publishes.length);
  },
});
