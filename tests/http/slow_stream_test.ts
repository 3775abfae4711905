/**
 * Streams that are read slowly or not at all.
 *
 * @module
 */

import { ReaderStalled } from "../../lib/http/push_stream.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "../deps.ts";
import { type Direct, direct, settled } from "./direct.ts";
import { Connection, serve } from "./serving.ts";
import { EPOCH, eventsOf, FORMATS, idsOf, live, publishMuch, range, shapeOf } from "./streams.ts";

const KEEP_ALIVE = { sse: ":\n\n", ndjson: "\n" } as const;
// What a reader may have waiting, and a chunk beyond it.
const MAX_WAITING_BYTES = 2 * 64 * 1024;

for (const format of FORMATS) {
  Deno.test(`${format}: a reader that lags when the bus drains is told where it was`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    publishMuch(server, 32);
    server.bus.drain();
    const shape = shapeOf(await stream.rest());
    const read = shape.length - 1;
    assertLess(read, 32);
    assertEquals(shape, [...range(0, read), "bye"]);
    server.bus.topic("t");
    assertEquals(server.subscribed[0]!.cursor, `${read}@${EPOCH}`);
  });

  Deno.test(`${format}: a sign of life every 15 s, and not before`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    for (let round = 0; round < 3; round++) {
      server.clock.tick(14_999);
      server.bus.put("t", `${round}`);
      server.clock.flush();
      assertEquals(idsOf(await stream.text()), [round]);
      server.clock.tick(1);
      assertEquals(await stream.text(), KEEP_ALIVE[format]);
    }
    await stream.cancel();
  });

  Deno.test(`${format}: a reader that reads nothing gets no signs of life on top`, async () => {
    await using server = direct({}, { stallTimeoutMs: 10 ** 9 });
    const stream = await live(server, format);
    publishMuch(server, 32);
    server.clock.tick(10 * 15_000);
    server.bus.drain();
    assert(!(await stream.rest()).includes(format === "sse" ? "\n:" : "\n\n"));
  });

  Deno.test(`${format}: a stream that isn't read holds little, and its cursor waits`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    const [subscription] = server.subscribed;
    let lag = -1;
    for (let id = 0; id < 200; id++) {
      server.bus.put("t", new Uint8Array(12 * 1024)); // 16 KiB in base64
      server.clock.flush();
      lag = subscription!.lag;
    }
    assertGreater(lag, 0);
    assertLess((200 - lag) * 16 * 1024, MAX_WAITING_BYTES);
    server.bus.drain();
    await stream.cancel();
  });

  Deno.test(`${format}: a stream that is read again goes on where it was`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    publishMuch(server, 200);
    const ids: number[] = [];
    while (ids.length < 200) ids.push(...idsOf(await inNextTurn(server, stream.text())));
    assertEquals(ids, range(0, 200));
    assertEquals(server.subscribed[0]!.lag, 0);
    server.bus.put("t", "live again");
    server.clock.flush();
    assertEquals(idsOf(await stream.text()), [200]);
    await stream.cancel();
  });

  Deno.test(`${format}: a stream that is read again is told exactly what it has missed`, async () => {
    await using server = direct({ maxMessages: 10 });
    const stream = await live(server, format);
    publishMuch(server, 200);
    server.bus.put("t", "the last");
    server.clock.flush();
    let text = "";
    while (!idsOf(text).includes(200)) text += await inNextTurn(server, stream.text());
    const read = eventsOf(text);
    const at = read.findIndex(({ event }) => event === "gap");
    const before = read.slice(0, at).map(({ id }) => id);
    assertEquals(before, range(0, before.length));
    assertGreater(before.length, 0);
    const { from, to, reason, cursor } = read[at]!;
    assertEquals([from, to, reason, cursor], [before.length, 190, "dropped", `191@${EPOCH}`]);
    assertEquals(read.slice(at + 1).map(({ id }) => id), range(191, 201));
    await stream.cancel();
  });

  Deno.test(`${format}: a message larger than what may wait is given to a reader that reads`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    for (let id = 0; id < 3; id++) {
      server.bus.put("t", new Uint8Array(1024 ** 2));
      server.clock.flush();
      const chunk = await stream.next();
      assertGreaterOrEqual(chunk!.length, 1024 ** 2);
      assertEquals(idsOf(new TextDecoder().decode(chunk)), [id]);
    }
    await stream.cancel();
  });

  Deno.test(`${format}: a long replay comes in chunks that are bounded`, async () => {
    await using server = direct();
    publishMuch(server, 100);
    const stream = await server.stream(`/t?format=${format}&since=earliest`);
    server.clock.flush();
    const ids: number[] = [];
    while (ids.length < 100) {
      const chunk = await inNextTurn(server, stream.next());
      assertLessOrEqual(chunk!.length, MAX_WAITING_BYTES);
      ids.push(...idsOf(new TextDecoder().decode(chunk)));
    }
    assertEquals(ids, range(0, 100));
    await stream.cancel();
  });

  Deno.test(`${format}: a stream that isn't read for the stall timeout is cut off, and counted as such`, async () => {
    await using server = direct({}, { stallTimeoutMs: 60_000 });
    const stream = await live(server, format);
    publishMuch(server, 32);
    server.clock.tick(59_999);
    assertEquals([server.ended, server.bus.totals().subscriptions], [[], 1]);
    server.clock.tick(15_001);
    assertEquals([server.ended, server.bus.totals().subscriptions], [["stalled"], 0]);
    await assertRejects(() => stream.next(), ReaderStalled);
    assertEquals(server.refusals, []);
  });

  Deno.test(`${format}: a stream that is read slowly is not cut off`, async () => {
    await using server = direct({ ttlMs: 0 }, { stallTimeoutMs: 60_000 });
    publishMuch(server, 200);
    const stream = await server.stream(`/t?format=${format}&since=earliest`);
    server.clock.flush();
    if (format === "sse") await stream.text();
    const ids: number[] = [];
    while (ids.length < 200) {
      server.clock.tick(44_000);
      ids.push(...idsOf(await inNextTurn(server, stream.text())));
      await settled();
    }
    assertEquals([ids, server.ended], [range(0, 200), []]);
    await stream.cancel();
  });

  Deno.test(`${format}: a stream that has nothing to read is not cut off`, async () => {
    await using server = direct({}, { stallTimeoutMs: 60_000 });
    const stream = await live(server, format);
    server.bus.put("t", "a");
    server.clock.flush();
    server.clock.tick(24 * 3_600_000);
    assertEquals(server.ended, []);
    await stream.cancel();
  });

  Deno.test(`${format}: a client that reads nothing for the stall timeout is detached, which is no bug`, async () => {
    const ended = Promise.withResolvers<string>();
    await using server = serve(
      { observer: { unsubscribed: (_subscription, reason) => ended.resolve(reason) } },
      { stallTimeoutMs: 100 },
    );
    using stuck = await Connection.open(server.port);
    await stuck.write(server.request(`GET /t?format=${format}`));
    await stuck.bytes(1);
    for (let id = 0; id < 40; id++) {
      server.bus.put("t", new Uint8Array(512 * 1024));
      await settled();
    }
    assertEquals(await ended.promise, "stalled");
    assertEquals(server.bugs, []);
    assertEquals((await server.ask("GET /-/health")).status, 200);
  });
}

/** Ends a turn while a test reads: who is behind may have to wait for the next one. */
async function inNextTurn<T>(server: Direct, reading: Promise<T>): Promise<T> {
  await settled();
  server.clock.flush();
  return await reading;
}
