/**
 * Frames that wait until a socket has room.
 *
 * @module
 */

import { Outbox } from "../../lib/http/outbox.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";
import { settled } from "./direct.ts";
import { SlowSocket } from "./slow_socket.ts";

const FULL = "x".repeat(64 * 1024);

function setUp() {
  const clock = new TestClock();
  const socket = new SlowSocket();
  let stalled = 0;
  const outbox = new Outbox(socket as unknown as WebSocket, {
    clock,
    stallMs: 60_000,
    onStalled: () => void stalled++,
  });
  return { clock, socket, outbox, stalled: () => stalled };
}

/** Asks for room, and tells whether there was some by now. */
function roomOf(outbox: Outbox): () => boolean {
  let came = false;
  outbox.room().then(() => came = true);
  return () => came;
}

Deno.test("Outbox.room resolves at once when there is room, and else when the client has read", async () => {
  const { clock, socket, outbox } = setUp();
  assertEquals(outbox.hasRoom, true);
  const now = roomOf(outbox);
  await settled();
  assertEquals([now(), clock.timers], [true, 0]);
  outbox.push(FULL);
  outbox.push("next");
  const later = roomOf(outbox);
  clock.tick(10_000);
  await settled();
  assertEquals([outbox.hasRoom, later(), socket.frames.length], [false, false, 1]);
  socket.read();
  clock.tick(256);
  await settled();
  assertEquals([outbox.hasRoom, later(), socket.frames.at(-1), clock.timers], [true, true, "next", 0]);
});

Deno.test("Outbox calls onStalled when somebody waits for room, and the client reads nothing for so long", () => {
  const { clock, socket, outbox, stalled } = setUp();
  outbox.push(FULL);
  clock.tick(100_000);
  // Nobody waits for anything.
  assertEquals([stalled(), clock.timers], [0, 0]);
  outbox.room();
  clock.tick(59_000);
  assertEquals(stalled(), 0);
  clock.tick(1_500);
  assertEquals([stalled(), clock.timers, socket.frames.length], [1, 0, 1]);
});

Deno.test("Outbox takes it for reading when less is buffered, though it is too much for another frame", () => {
  const { clock, socket, outbox, stalled } = setUp();
  socket.send(FULL);
  for (let i = 0; i < 5; i++) socket.send(FULL);
  outbox.push("last");
  for (let i = 0; i < 5; i++) {
    clock.tick(59_000);
    socket.read(1);
  }
  assertEquals([stalled(), socket.frames.at(-1) === "last"], [0, false]);
  clock.tick(61_000);
  assertEquals([stalled(), clock.timers], [1, 0]);
});

Deno.test("Outbox.look sends at once what there is room for, and does nothing while there is none", async () => {
  const { clock, socket, outbox } = setUp();
  outbox.push(FULL);
  outbox.push("next");
  const room = roomOf(outbox);
  clock.delays.length = 0;
  outbox.look();
  assertEquals([socket.frames.length, clock.delays], [1, []]);
  socket.read();
  outbox.look();
  await settled();
  assertEquals([socket.frames.at(-1), room(), clock.timers], ["next", true, 0]);
});

Deno.test("Outbox.flush hands over all that waits in its order, and stop forgets it", () => {
  for (const end of ["flush", "stop"] as const) {
    const { clock, socket, outbox } = setUp();
    outbox.push(FULL);
    outbox.push("a");
    outbox.push("b");
    assertEquals(outbox.length, 2);
    outbox[end]();
    assertEquals(socket.frames.slice(1), end === "flush" ? ["a", "b"] : []);
    assertEquals([outbox.length, clock.timers], [0, 0]);
  }
});
