/**
 * WebSockets whose clients read slowly or not at all.
 *
 * @module
 */

import { assertEquals, assertGreater, assertLess, assertLessOrEqual } from "../deps.ts";
import { type SlowReader, slowReader } from "./slow_socket.ts";
import { range } from "./streams.ts";

const MAX_BUFFERED_BYTES = 128 * 1024;

for (const frames of ["plain", "ndjson"] as const) {
  Deno.test(`slow socket: ${frames} frames fill a buffer of at most 128 KiB, then the cursor waits`, async () => {
    await using reader = slowReader(frames);
    for (const size of [100, 3_000, 12_000, 40_000]) {
      publish(reader, 100, size);
      assertLessOrEqual(reader.socket.highestAmount, MAX_BUFFERED_BYTES);
    }
    assertGreater(reader.socket.highestAmount, MAX_BUFFERED_BYTES / 4);
  });

  Deno.test(`slow socket: a message larger than the buffer of ${frames} frames has it for itself`, async () => {
    await using reader = slowReader(frames);
    for (let round = 0; round < 3; round++) {
      publish(reader, 1, 10);
      publish(reader, 1, 1024 ** 2);
      publish(reader, 1, 10);
    }
    assertEquals(idsOf(reader), [0]);
    while (idsOf(reader).length < 9) {
      reader.socket.read();
      reader.clock.flush();
      reader.clock.tick(256);
    }
    assertEquals(idsOf(reader), range(0, 9));
    const largest = Math.max(...reader.socket.frames.map((frame) => frame.length));
    assertLessOrEqual(reader.socket.highestAmount, largest + MAX_BUFFERED_BYTES);
  });

  Deno.test(`slow socket: ${frames} frames go on where they were when the client reads again`, async () => {
    await using reader = slowReader(frames, { ttlMs: 0 });
    publish(reader, 200, 12_000);
    assertLess(idsOf(reader).length, 20);
    reader.clock.tick(10_000);
    while (idsOf(reader).length < 200) {
      reader.socket.read(1);
      reader.clock.flush();
      reader.clock.tick(256);
    }
    assertEquals(idsOf(reader), range(0, 200));
    reader.socket.read();
    reader.clock.flush();
    publish(reader, 1, 10);
    reader.clock.tick(256);
    assertEquals(idsOf(reader), range(0, 201));
  });

  Deno.test(`slow socket: ${frames} frames of a client that has missed some go on after them`, async () => {
    await using reader = slowReader(frames, { maxMessages: 10 });
    publish(reader, 200, 12_000);
    reader.clock.tick(10_000);
    const before = idsOf(reader).length;
    reader.socket.read();
    reader.clock.flush();
    reader.clock.tick(256);
    reader.socket.read();
    reader.clock.flush();
    reader.clock.tick(256);
    assertEquals(idsOf(reader), [...range(0, before), ...range(190, 200)]);
    const gaps = reader.socket.said.filter(({ event }) => event === "gap");
    assertEquals(
      gaps.map(({ topic, from, to, reason }) => ({ topic, from, to, reason })),
      frames === "plain" ? [] : [{ topic: "t", from: before, to: 189, reason: "dropped" }],
    );
  });

  Deno.test(`slow socket: ${frames} frames are tried again soon, then more and more seldom, while nothing moves`, async () => {
    await using reader = slowReader(frames);
    reader.clock.delays.length = 0;
    publish(reader, 50, 12_000);
    reader.clock.tick(2_000);
    assertEquals(triesOf(reader).slice(0, 10), [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
    reader.socket.read();
    reader.clock.flush();
    reader.clock.delays.length = 0;
    reader.clock.tick(2_000);
    assertEquals(triesOf(reader).slice(0, 9), [2, 4, 8, 16, 32, 64, 128, 256, 256]);
  });

  Deno.test(`slow socket: a client of ${frames} frames that reads nothing for the stall timeout is closed with 4408`, async () => {
    await using reader = slowReader(frames, { stallMs: 60_000, ttlMs: 0 });
    publish(reader, 50, 12_000);
    reader.clock.tick(59_999);
    assertEquals([reader.socket.closeCode, reader.ended], [undefined, []]);
    reader.clock.tick(15_001);
    assertEquals([reader.socket.closeCode, reader.ended], [4408, ["stalled"]]);
    reader.clock.delays.length = 0;
    reader.clock.tick(10_000);
    assertEquals([reader.bus.totals().subscriptions, triesOf(reader)], [0, []]);
  });

  Deno.test(`slow socket: a client of ${frames} frames that reads now and then is not closed`, async () => {
    await using reader = slowReader(frames, { stallMs: 60_000, ttlMs: 0 });
    publish(reader, 50, 40_000);
    while (idsOf(reader).length < 50) {
      reader.clock.tick(44_000);
      reader.socket.read();
      reader.clock.flush();
      reader.clock.tick(256);
    }
    assertEquals([reader.ended, idsOf(reader)], [[], range(0, 50)]);
  });

  Deno.test(`slow socket: a client of ${frames} frames without anything to read is not closed`, async () => {
    await using reader = slowReader(frames, { stallMs: 60_000 });
    publish(reader, 1, 10);
    reader.socket.read();
    reader.clock.flush();
    reader.clock.tick(24 * 3_600_000);
    assertEquals(reader.ended, []);
  });

  // A gap is no progress of a reader that is told of it because it reads nothing.
  Deno.test(`slow socket: a client of ${frames} frames that reads nothing is closed, too, when the log moves on without it`, async () => {
    await using reader = slowReader(frames, { stallMs: 60_000, maxMessages: 2, ttlMs: 0 });
    publish(reader, 1, 10);
    for (let second = 0; second < 120 && reader.ended.length === 0; second++) {
      publish(reader, 2, 1024 ** 2); // none of these fits while a small one waits in the buffer
      reader.clock.tick(1_000);
    }
    assertEquals([reader.ended, reader.socket.closeCode], [["stalled"], 4408]);
    assertLessOrEqual(reader.socket.highestAmount, MAX_BUFFERED_BYTES);
  });

  Deno.test(`slow socket: a client of ${frames} frames that leaves in the middle leaves no timer behind`, async () => {
    for (const event of ["close", "error"]) {
      await using reader = slowReader(frames, { ttlMs: 0 });
      publish(reader, 50, 12_000);
      reader.socket.readyState = WebSocket.CLOSED;
      reader.socket.dispatchEvent(new Event(event));
      assertLessOrEqual(reader.clock.timers, 1); // the bus's own
      reader.clock.delays.length = 0;
      reader.clock.tick(10_000);
      assertEquals([reader.ended, triesOf(reader)], [["closed"], []]);
    }
  });
}

Deno.test("slow socket: a client of lines that lags when the bus drains is told where it was", async () => {
  await using reader = slowReader("ndjson", { ttlMs: 0 });
  publish(reader, 50, 12_000);
  reader.bus.drain();
  const { event, cursor } = reader.socket.said.at(-1)!;
  assertEquals([event, cursor], ["bye", `${idsOf(reader).length}@jf6txfnw`]);
  assertEquals([reader.socket.closeCode, reader.ended], [1001, ["drained"]]);
});

/** Publishes messages of a size, each in a turn of its own. */
function publish({ bus, clock }: SlowReader, count: number, size: number): void {
  for (let i = 0; i < count; i++) {
    bus.put("t", new Uint8Array(size));
    clock.flush();
  }
}

function idsOf({ socket }: SlowReader): number[] {
  return socket.said.flatMap(({ id }) => id ?? []);
}

/** The delays after which sending was tried again; the others are the bus's own. */
function triesOf({ clock }: SlowReader): number[] {
  return clock.delays.filter((ms) => ms <= 256 && ms !== 20);
}
