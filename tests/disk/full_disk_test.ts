/**
 * msgbusd when the disk is full: it refuses what it can't keep, and nothing else changes; when there is room it goes on.
 *
 * @module
 */

import { assert, assertEquals, assertGreater } from "../deps.ts";
import { Lines } from "../processes.ts";
import { countOfRuns } from "./arguments.ts";
import {
  browse,
  durableDaemon,
  type Publish,
  publish,
  publishMany,
  violations,
  violationsAfterRestart,
} from "./durable_daemon.ts";
import { HAS_STRACE, scratch, straced, WITHOUT_STRACE } from "./strace.ts";
import { CAN_MOUNT, smallDisk, WITHOUT_MOUNT } from "./small_disk.ts";

const KIBIBYTE = 1024;

/** What a refusal has to be like. */
function assertFull({ status, id, error, retryAfter }: Publish): void {
  assertEquals({ status, id, error }, { status: 507, id: undefined, error: "disk_full" });
  assert(Number(retryAfter) > 0, `Retry-After: ${retryAfter}`);
}

function isRefused({ status }: Publish): boolean {
  return status !== 202;
}

Deno.test({
  name: `msgbusd refuses what it has no room to write, and loses and takes no id for it${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    using directory = scratch();
    const data = `${directory.path}/data`;
    const publishes: Publish[] = [];
    const under = straced({
      traceFile: `${directory.path}/trace`,
      calls: ["pwrite64"],
      // Not when it starts; then a call of a few dozen, at ever other places of a commit.
      inject: "pwrite64:error=ENOSPC:when=101+41",
      maxBytes: 0,
    });
    {
      await using daemon = await durableDaemon({ data, under });
      // Each time the disk is full for one call, and the server finds out by itself that there is room again.
      for (let times = 0; times < countOfRuns(8); times++) {
        const done = (all: readonly Publish[]) => all.some(isRefused);
        publishes.push(...await publishMany(daemon.uri, { publishers: 4, topic: "t", done }));
        await daemon.stderr.find('"evt":"disk_healed"');
      }
      const refused = publishes.filter(isRefused);
      for (const each of refused) assertFull(each);
      assertEquals(violations(await browse(daemon.uri, "t"), publishes), []);
      daemon.kill("SIGKILL");
      await daemon.code;
    }
    assertEquals(await violationsAfterRestart(data, publishes), []);
  },
});

/** What a pull with a lease is answered. */
async function lease(
  uri: string,
  group: string,
): Promise<{ status: number; lease?: string; id?: number; attempt?: number }> {
  const response = await fetch(`${uri}/t?group=${group}&lease=1m`);
  const text = await response.text();
  if (response.status !== 200) return { status: response.status };
  const { lease, id, attempt } = JSON.parse(text);
  return { status: response.status, lease, id, attempt };
}

async function ack(uri: string, token: string): Promise<number> {
  const response = await fetch(`${uri}/-/ack`, { method: "POST", body: token });
  await response.body?.cancel();
  return response.status;
}

async function health(uri: string): Promise<number> {
  const response = await fetch(`${uri}/-/health`);
  await response.body?.cancel();
  return response.status;
}

/** Asks again until it is no longer refused for want of room. */
async function untilThereIsRoom<T extends { readonly status: number | undefined }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 507) return answer;
  }
}

Deno.test({
  name: `msgbusd on a full disk reads, pushes and refuses, and goes on by itself when there is room${WITHOUT_MOUNT}`,
  ignore: !CAN_MOUNT,
  async fn() {
    await using disk = await smallDisk({ mebibytes: 16 });
    const data = `${disk.path}/data`;
    const publishes: Publish[] = [];
    const bytes = 16 * KIBIBYTE;
    {
      await using daemon = await durableDaemon({ data });
      const { uri } = daemon;
      publishes.push(...await publishMany(uri, { publishers: 1, topic: "t", bytes, done: (all) => all.length === 20 }));
      const leased = await lease(uri, "workers");
      assertEquals([leased.status, leased.id, leased.attempt], [200, 0, 1]);
      // Closed before the daemon ends, whatever happens.
      await using live = await subscribe(uri);
      // A small change may find room where a message did not: it is done then.
      let acked = 507;
      let pulled: Awaited<ReturnType<typeof lease>> = { status: 507 };
      let refusals = 0;
      const ballast = `${disk.path}/ballast`;
      await Deno.writeFile(ballast, new Uint8Array(4 * KIBIBYTE ** 2));
      for (const left of [2 * KIBIBYTE ** 2, 0]) {
        const full = await publishMany(uri, { publishers: 4, topic: "t", bytes, done: (all) => all.some(isRefused) });
        for (const each of full.filter(isRefused)) assertFull(each);
        publishes.push(...full);
        if (acked === 507) acked = await ack(uri, leased.lease!);
        if (pulled.status === 507) pulled = await lease(uri, "others");
        refusals += [acked, pulled.status].filter((status) => status === 507).length;
        assertEquals(violations(await browse(uri, "t"), publishes), []);
        assertEquals(await health(uri), 200);
        await Deno.truncate(ballast, left);
        publishes.push(await untilThereIsRoom(() => publish(uri, "t", `room beside ${left}`)));
      }
      assertGreater(refusals, 0);
      // The lease was neither done nor lost, and the pull that was refused has taken nothing.
      // What there is room for may be less again for a moment, when the log is moved to its place.
      if (acked === 507) {
        acked = (await untilThereIsRoom(async () => ({ status: await ack(uri, leased.lease!) }))).status;
      }
      assertEquals(acked, 200);
      if (pulled.status === 507) pulled = await untilThereIsRoom(() => lease(uri, "others"));
      assertEquals([pulled.status, pulled.id, pulled.attempt], [200, 0, 1]);
      const kept = publishes.filter((p) => !isRefused(p));
      for (let id = 20; id < kept.length; id++) assertEquals((await live.next()).id, id);
      await live[Symbol.asyncDispose]();
      daemon.kill("SIGKILL");
      await daemon.code;
    }
    assertEquals(await violationsAfterRestart(data, publishes), []);
  },
});

/** A subscription to what is published from now on. */
async function subscribe(uri: string): Promise<{ next(): Promise<{ readonly id: number }> } & AsyncDisposable> {
  const response = await fetch(`${uri}/t?format=ndjson`);
  const lines = new Lines(response.body!);
  await lines.find("caught-up");
  return {
    async next() {
      for (;;) {
        const line = JSON.parse((await lines.next())!);
        if ("payload" in line) return line;
      }
    },
    [Symbol.asyncDispose]: () => lines.close(),
  };
}
