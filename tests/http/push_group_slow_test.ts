/**
 * Workers over WebSockets whose clients read slowly or not at all, and what waits for them.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { TurnBudget } from "../../lib/http/turn_budget.ts";
import { LaterStore } from "../bus/later_store.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertGreater, assertLess, assertLessOrEqual } from "../deps.ts";
import { settled } from "./direct.ts";
import { range } from "./streams.ts";
import { setUp, turn, WorkerSocket } from "./worker_socket.ts";

Deno.test("push group: no more is leased while 64 KiB wait in the socket, so it holds 128 KiB at most", async () => {
  const { bus, clock, group } = setUp();
  for (let i = 0; i < 500; i++) bus.put("t", new Uint8Array(3000));
  const socket = new WorkerSocket(bus, clock, { inflight: 500 });
  await turn(clock);
  assertLessOrEqual(socket.highestAmount, 128 * 1024);
  assertGreater(socket.highestAmount, 64 * 1024);
  assertLess(group()!.leased, 35);
  while (socket.ids.length < 500) {
    socket.read(1);
    clock.tick(256);
    await turn(clock);
  }
  assertEquals([socket.ids, group()!.leased], [range(0, 500), 500]);
  assertLessOrEqual(socket.highestAmount, 128 * 1024);
});

Deno.test("push group: a client that settles something has read, and is sent more without a pause", async () => {
  const { bus, clock } = setUp();
  for (let i = 0; i < 100; i++) bus.put("t", new Uint8Array(3000));
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  const { length } = socket.ids;
  assertLess(length, 40);
  clock.stall(10_000);
  socket.read();
  await turn(clock);
  assertEquals(socket.ids.length, length);
  await socket.asks([{ extend: [socket.tokens[0]!] }]);
  assertGreater(socket.ids.length, length + 10);
});

Deno.test("push group: a message larger than the buffer comes alone", async () => {
  const { bus, clock } = setUp();
  for (const size of [10, 1024 ** 2, 10]) bus.put("t", new Uint8Array(size));
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  assertEquals(socket.ids, [0, 1]);
  clock.tick(10_000);
  await turn(clock);
  assertEquals(socket.ids, [0, 1]);
  socket.read();
  clock.tick(256);
  await turn(clock);
  assertEquals(socket.ids, [0, 1, 2]);
});

Deno.test("push group: a client that reads nothing for the stall timeout is closed with 4408, and has nothing more", async () => {
  const { bus, clock, group } = setUp();
  for (let i = 0; i < 100; i++) bus.put("t", new Uint8Array(12_000));
  const socket = new WorkerSocket(bus, clock, { leaseMs: 3_600_000 });
  await turn(clock);
  assertEquals(group()!.leased, 8);
  clock.tick(59_000);
  await turn(clock);
  assertEquals(socket.closeCode, undefined);
  const frames = socket.frames.length;
  clock.tick(1_500);
  await turn(clock);
  assertEquals([socket.closeCode, group()!.leased, group()!.waiting, group()!.attempts], [4408, 0, 8, 0]);
  assertEquals(socket.frames.length, frames);
  await bus.close();
  assertEquals(clock.timers, 0);
});

Deno.test("push group: a client that has nothing to read is not closed", async () => {
  const { worker, clock } = setUp(3);
  const [waits, full] = [
    worker({ leaseMs: 12 * 3_600_000 }),
    worker({ group: "h", inflight: 1, leaseMs: 12 * 3_600_000 }),
  ];
  for (const socket of [waits, full]) await socket.turn();
  clock.tick(11 * 3_600_000);
  await turn(clock);
  assertEquals([waits.closeCode, full.closeCode, waits.ids, full.ids], [undefined, undefined, [0, 1, 2], [0]]);
});

Deno.test("push group: a client that reads now and then is not closed", async () => {
  const { bus, clock } = setUp();
  for (let i = 0; i < 30; i++) bus.put("t", new Uint8Array(40_000));
  const socket = new WorkerSocket(bus, clock, { leaseMs: 3_600_000 });
  await turn(clock);
  while (socket.ids.length < 30) {
    clock.tick(44_000);
    socket.read(1);
    clock.tick(256);
    await turn(clock);
  }
  assertEquals([socket.closeCode, socket.ids], [undefined, range(0, 30)]);
});

Deno.test("push group: a client that reads no answers is closed with 1013 at 4 MiB, and holds nothing then", async () => {
  const { bus, clock, group } = setUp(5);
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  const line = JSON.stringify({ ack: range(0, 10_000).map((i) => `x${i}`) });
  const frame = `${line}\n`.repeat(8);
  let sent = 0;
  for (; socket.closeCode === undefined && sent < 100; sent++) {
    socket.sends(frame);
    await settled();
  }
  assertEquals([socket.closeCode, group()!.leased, sent < 20], [1013, 0, true]);
  // What fits is what the client could read.
  assertLess(socket.frames.length, 4);
  await bus.close();
  assertEquals(clock.timers, 0);
});

Deno.test("push group: a client that settles faster than the store takes is closed with 1013 at 16 MiB", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  const published = bus.publish("t", ["a"]);
  await store.answer();
  await published;
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  await store.answer();
  await turn(clock);
  socket.sends([{ ack: socket.tokens }]);
  const frame = `{"ack":["x"]}`.padEnd(1024 ** 2);
  for (let i = 0; i < 15; i++) socket.sends(frame);
  await turn(clock);
  assertEquals(socket.lines.length, 1);
  socket.sends(frame);
  await store.answerAll();
  await turn(clock);
  assertEquals(socket.closeCode, 1013);
});

Deno.test("push group: many sockets that can be sent much share a mebibyte a turn", async () => {
  const { bus, clock } = setUp();
  const budget = new TurnBudget(clock);
  const sockets = range(0, 100).map(() => new WorkerSocket(bus, clock, { inflight: 20, budget }));
  await turn(clock);
  for (let i = 0; i < 2000; i++) bus.put("t", new Uint8Array(3000));
  const sent = () => sockets.flatMap(({ frames }) => frames).reduce((sum, frame) => sum + frame.length, 0);
  let before = 0;
  let turns = 0;
  for (; sockets.some(({ ids }) => ids.length < 20) && turns < 100; turns++) {
    clock.flush();
    await settled();
    assertLess(sent() - before, 1.1 * 1024 ** 2);
    before = sent();
    for (const socket of sockets) socket.read();
  }
  assertLess(turns, 20);
  assertEquals(new Set(sockets.flatMap(({ ids }) => ids)).size, 2000);
});
