import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { MAX_SLEEP_MS } from "../../lib/bus/clock.ts";
import { assert, assertEquals } from "../deps.ts";
import { TestClock } from "./test_clock.ts";

const DAY_MS = 86_400_000;

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ttlMs: 1000, ...options }) };
}

Deno.test("MessageBus.get hands out a message until its time to live has passed, and not after", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  bus.put("foo", "b");
  clock.stall(999);
  assertEquals(bus.get("foo")?.text(), "a");
  clock.stall(1);
  assertEquals(bus.get("foo"), undefined);
});

Deno.test("MessageBus.get expires by the clock itself, not by the sweep", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  clock.stall(600);
  bus.put("foo", "b");
  clock.stall(600);
  assertEquals(bus.get("foo")?.text(), "b");
});

Deno.test("MessageBus.topic and topics count no message whose time has passed, though nothing has swept", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  clock.stall(1000);
  const { seq, length, pending, bytes } = bus.topic("foo")!;
  assertEquals({ seq, length, pending, bytes }, { seq: 1, length: 0, pending: 0, bytes: 0 });
  assertEquals(bus.topics().map((topic) => topic.length), [0]);
});

Deno.test("MessageBus gives the memory of expired messages back without anyone touching the topic", () => {
  const { bus, clock } = setUp();
  for (let i = 0; i < 3000; i++) bus.put(`topic ${i % 3}`, "hi");
  assert(bus.totals().bytes > 0);
  clock.tick(1000);
  const { messages, bytes, expired, dropped } = bus.totals();
  assertEquals({ messages, bytes, expired, dropped }, { messages: 0, bytes: 0, expired: 3000, dropped: 0 });
});

Deno.test("MessageBus sweeps message after message of a busy topic, at most 20 ms late", () => {
  const { bus, clock } = setUp();
  for (let ms = 0; ms < 100; ms++) {
    bus.put("foo", "hi");
    clock.tick(1);
  }
  clock.tick(900 + 20);
  assertEquals(bus.totals().messages, 79);
  clock.tick(80);
  assertEquals(bus.totals().messages, 0);
});

Deno.test("MessageBus sweeps with one timer however many topics and messages it has", () => {
  const { bus, clock } = setUp();
  for (let i = 0; i < 100; i++) {
    bus.put(`topic ${i}`, "hi");
    assertEquals(clock.timers, 1);
    clock.tick(7);
  }
  assertEquals(clock.timers, 1);
});

Deno.test("MessageBus sets few timers for many messages", () => {
  const { bus, clock } = setUp();
  for (let ms = 0; ms < 10_000; ms++) {
    bus.put("foo", "hi");
    clock.tick(1);
  }
  assert(clock.delays.length <= 10_000 / 20 + 2, `${clock.delays.length} timers`);
});

Deno.test("MessageBus of ttl 0 keeps messages", () => {
  const { bus, clock } = setUp({ ttlMs: 0 });
  bus.put("foo", "a");
  clock.tick(400 * DAY_MS);
  assertEquals(bus.get("foo")?.text(), "a");
});

Deno.test("MessageBus of ttl 0 sets no timer for messages that stay", () => {
  const { bus, clock } = setUp({ ttlMs: 0, topicIdleMs: DAY_MS });
  bus.put("foo", "a");
  clock.tick(DAY_MS);
  assertEquals(clock.timers, 0);
});

Deno.test("MessageBus sleeps at most 2^31 - 1 ms and is never early", () => {
  const ttlMs = 60 * DAY_MS;
  const { bus, clock } = setUp({ ttlMs, topicIdleMs: 1000 * DAY_MS });
  bus.put("foo", "a");
  clock.tick(ttlMs - 1);
  assertEquals(bus.totals().messages, 1);
  assertEquals(clock.delays, [
    MAX_SLEEP_MS,
    MAX_SLEEP_MS,
    MAX_SLEEP_MS,
    ttlMs - 2 * MAX_SLEEP_MS,
  ]);
  clock.tick(1);
  assertEquals(bus.totals().messages, 0);
});

for (const ttlMs of [2 ** 31 - 1, 2 ** 31, 25 * DAY_MS, 3653 * DAY_MS]) {
  Deno.test(`MessageBus of ttl ${ttlMs} ms expires at that time without a busy loop`, () => {
    const { bus, clock } = setUp({ ttlMs });
    bus.put("foo", "a");
    clock.tick(ttlMs - 1);
    assertEquals(bus.totals().messages, 1);
    clock.tick(1);
    assertEquals(bus.totals().messages, 0);
    assert(clock.delays.length <= ttlMs / MAX_SLEEP_MS + 4, `${clock.delays.length} timers`);
  });
}

Deno.test("MessageBus expires messages late, never early, when the clock is set back", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  clock.set(clock.now() - 500);
  clock.tick(1000);
  assertEquals(bus.totals().messages, 1);
  clock.tick(500);
  assertEquals(bus.totals().messages, 0);
});

Deno.test("MessageBus keeps sweeping after an observer threw", () => {
  const clock = new TestClock();
  let faults = 1;
  const observer = {
    dropped: () => {
      if (faults-- > 0) throw new Error("an observer's bug");
    },
  };
  const bus = new MessageBus({ clock, ttlMs: 1000, observer });
  bus.put("foo", "a");
  clock.stall(500);
  bus.put("bar", "a");
  bus.put("foo", "b");
  let thrown: unknown;
  try {
    clock.tick(500);
  } catch (error) {
    thrown = error;
  }
  assertEquals((thrown as Error).message, "an observer's bug");
  clock.tick(1000);
  assertEquals(bus.totals().bytes, 0);
});

Deno.test("MessageBus gives the buffers of texts back with their messages", () => {
  const { bus, clock } = setUp({ ttlMs: 1000 });
  for (let i = 0; i < 1000; i++) bus.put("foo", "x".repeat(100));
  assertEquals(bus.put("foo", "x").payload.buffer.byteLength, 64 * 1024);
  clock.tick(1000);
  assertEquals(bus.put("foo", "x").payload.buffer.byteLength, 1024);
});
