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
    // Until the call with the last answer is in the trace, the thread that made it does nothing else.
    await (await fetch(`${daemon.uri}/-/health`)).text();
    daemon.kill("SIGKILL");
    await daemon.code;
    await daemon.stderr.rest();
    const payloads = new Map(publishes.map(({ id, payload }) => [id!, payload]));
    assertEquals(payloads.size, publishes.length);

    const trace = await Deno.readFile(traceFile);
    const { answered, unsynced } = audit(trace, `${data}/journal.db-wal`, payloads);
    assertEquals(unsynced, []);
    assertEquals(answered, publishes.length);
    // That it would be found.
    const lines = new TextDecoder("latin1").decode(trace).split("\n").filter((line) => !/ f(data)?sync\(/.test(line));
    assertEquals(
      audit(new TextEncoder().encode(lines.join("\n")), `${data}/journal.db-wal`, payloads).unsynced.length,
      answered,
    );
  },
});

/** The publishes that were answered, and those of them that were not on the disk then. */
function audit(
  trace: Uint8Array,
  log: string,
  payloads: ReadonlyMap<number, string>,
): { readonly answered: number; readonly unsynced: readonly number[] } {
  const written = new Map<string, number>();
  let syncedUpTo = -1;
  let answered = 0;
  const unsynced: number[] = [];
  for (const { name, args, result, begunAt, endedAt } of callsOf(trace)) {
    const [first = "", second = ""] = args;
    if (name === "sendto") {
      const id = /^HTTP\/1\.1 202 [^]*\r\nmsgbus-id: (\d+)\r\n/i.exec(textOf(second)!)?.[1];
      if (id === undefined) continue;
      answered++;
      const writtenAt = written.get(payloads.get(Number(id))!) ?? Infinity;
      if (writtenAt >= syncedUpTo) unsynced.push(Number(id));
    } else if (pathOf(first) === log && name === "pwrite64") {
      for (const [payload] of textOf(second)!.matchAll(PAYLOAD)) {
        if (!written.has(payload)) written.set(payload, endedAt);
      }
    } else if (pathOf(first) === log && result === 0) syncedUpTo = begunAt;
  }
  return { answered, unsynced };
}
