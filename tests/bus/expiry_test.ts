import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { MAX_SLEEP_MS } from "../../lib/bus/clock.ts";
import { assert, assertEquals } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
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

for (const setMs of [50_000, -50_000]) {
  Deno.test(`MessageBus expires messages at their time though the clock is set by ${setMs} ms`, () => {
    const { bus, clock } = setUp();
    bus.put("foo", "a");
    clock.set(setMs);
    clock.tick(500);
    bus.put("foo", "b");
    clock.tick(499);
    assertEquals(bus.totals().messages, 2);
    clock.tick(1 + 20);
    assertEquals(bus.totals().messages, 1);
    clock.tick(500 + 20);
    assertEquals(bus.totals().messages, 0);
  });
}

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

/** Puts a message for each time to live; its payload says which. */
function putAll(bus: MessageBus, ...ttls: (number | undefined)[]): void {
  for (const ttlMs of ttls) bus.put("foo", String(ttlMs), { ttlMs });
}

/** The ids of what is retained of the topic, in pages. */
async function idsIn(bus: MessageBus): Promise<number[]> {
  const ids: number[] = [];
  for (let since = { next: 0 };;) {
    const { messages, gap } = (await bus.browse("foo", { since }))!;
    ids.push(...messages.map(({ id }) => id));
    if (messages.length === 0 && gap === undefined) return ids;
    since = { next: messages.at(-1)?.seq ?? gap!.to! + 1 };
  }
}

for (
  const [name, ttlMs, ttls, lives] of [
    ["that lives long before one that doesn't", 1000, [5000, 100], [[0, [0, 1]], [99, [0, 1]], [1, [0]], [4899, [0]], [
      1,
      [],
    ]]],
    ["that lives as long as the topic says before one that doesn't", 1000, [undefined, 100], [[99, [0, 1]], [1, [0]], [
      899,
      [0],
    ], [1, []]]],
    ["that lives short before one that doesn't", 1000, [100, 5000], [[99, [0, 1]], [1, [1]], [4899, [1]], [1, []]]],
    ["of ttl 0 in a topic of 60 s", 60_000, [undefined, 0, undefined], [[59_999, [0, 1, 2]], [1, [1]], [DAY_MS, [1]]]],
    ["of its own ttl in a topic of ttl 0", 0, [undefined, 1000, undefined], [[999, [0, 1, 2]], [1, [0, 2]], [DAY_MS, [
      0,
      2,
    ]]]],
    ["among others that all go before the last", 0, [300, 100, 200, 0], [[100, [0, 2, 3]], [100, [0, 3]], [100, [3]]]],
    ["before the end, and the end with it", 0, [0, 200, 100], [[100, [0, 1]], [100, [0]]]],
    ["of the longest time to live there is", 1000, [9_223_372_036_854, undefined], [[1000, [0]], [DAY_MS, [0]]]],
  ] as const
) {
  Deno.test(`MessageBus keeps a message ${name} for exactly its time`, async () => {
    const { bus, clock } = setUp({ ttlMs });
    putAll(bus, ...ttls);
    for (const [afterMs, ids] of lives) {
      clock.stall(afterMs);
      assertEquals(await idsIn(bus), [...ids]);
      assertEquals(bus.topic("foo")?.length, ids.length);
    }
  });

  Deno.test(`MessageBus gives the memory of a message ${name} back at its time, with no reader`, () => {
    const { bus, clock } = setUp({ ttlMs });
    putAll(bus, ...ttls);
    for (const [afterMs, ids] of lives) {
      clock.tick(afterMs);
      assertEquals(bus.totals().messages, ids.length);
    }
    assertEquals(bus.totals().bytes, bus.topic("foo")?.bytes);
  });
}

Deno.test("MessageBus gives memory back at most 20 ms late, whatever the times to live", () => {
  const { bus, clock } = setUp({ ttlMs: 1000 });
  const expiries: number[] = [];
  for (let i = 0; i < 500; i++) {
    const ttlMs = [undefined, 0, 7 * i % 400 + 1, 3000 - i][i % 4];
    bus.put("foo", "hi", { ttlMs });
    expiries.push(ttlMs === 0 ? Infinity : clock.now() + (ttlMs ?? 1000));
    clock.tick(1);
    const expired = (ms: number) => expiries.filter((expiresMs) => expiresMs <= ms).length;
    const { messages } = bus.totals();
    const kept = i + 1 - messages;
    assert(kept <= expired(clock.now()) && kept >= expired(clock.now() - 20), `${kept} gone after ${i} ms`);
  }
  clock.tick(3000);
  assertEquals(bus.totals().messages, 125);
});

Deno.test("MessageBus sets a timer for a message that expires before all others, and none for one that doesn't", () => {
  const { bus, clock } = setUp({ ttlMs: 60_000 });
  putAll(bus, undefined);
  const { length } = clock.delays;
  putAll(bus, 0, 90_000, undefined);
  assertEquals(clock.delays.length, length);
  putAll(bus, 500);
  assertEquals([clock.delays.slice(length), clock.timers], [[500], 1]);
});

Deno.test("Observer.dropped is told of what expired by time, of what expired at once by id", () => {
  const dropped: number[] = [];
  const { bus, clock } = setUp({ ttlMs: 200, observer: { dropped: (_, id) => dropped.push(id) } });
  putAll(bus, 300, 100, undefined, 200, 50, 300, 200, undefined, 0);
  clock.stall(1000);
  bus.topics();
  assertEquals(dropped, [4, 1, 2, 3, 6, 7, 0, 5]);
});

Deno.test("MessageBus counts what expired in the middle, and what it held", () => {
  const { bus, clock } = setUp({ ttlMs: 0 });
  putAll(bus, 0, 0);
  const { bytes } = bus.totals();
  putAll(bus, 100, 0);
  bus.get("foo");
  clock.tick(100);
  const { pending, length } = bus.topic("foo")!;
  const totals = bus.totals();
  assertEquals({ pending, length, expired: totals.expired, messages: totals.messages }, {
    pending: 2,
    length: 3,
    expired: 1,
    messages: 3,
  });
  assertEquals(totals.bytes, bytes * 1.5);
});

Deno.test("MessageBus with discard new drops for room what was pulled, behind a hole too", async () => {
  const { bus, clock } = setUp({ ttlMs: 0, maxMessages: 3, discard: "new" });
  putAll(bus, 0, 100, 0);
  for (let i = 0; i < 3; i++) bus.get("foo");
  clock.tick(100);
  putAll(bus, 0, 0, 0);
  assertEquals(await idsIn(bus), [3, 4, 5]);
});

Deno.test("MessageBus forgets an idle topic whose last message was one that lived longer than the others", () => {
  const { bus, clock } = setUp({ ttlMs: 1000, topicIdleMs: 500 });
  putAll(bus, 5000, undefined);
  clock.tick(5000);
  assertEquals(bus.topics().length, 1);
  clock.tick(500);
  assertEquals(bus.topics().length, 0);
});

Deno.test("MessageBus gives what shares no time to live no buffer to share either", () => {
  const { bus } = setUp({ ttlMs: 1000 });
  for (let i = 0; i < 1000; i++) bus.put("foo", "x".repeat(100));
  for (const ttlMs of [0, 5000]) {
    const { payload } = bus.put("foo", "größe", { ttlMs });
    assertEquals([payload.buffer.byteLength, new TextDecoder().decode(payload)], [7, "größe"]);
  }
  assertEquals(bus.put("foo", "x", { ttlMs: 1000 }).payload.buffer.byteLength, 64 * 1024);
});

Deno.test("Subscription gives a message until its own time has passed, and not after, whoever read it before", () => {
  for (const topics of ["foo", "*"]) {
    const { bus, clock } = setUp({ ttlMs: 0 });
    putAll(bus, 0, 100, 0);
    const read = () => deliveriesOf(bus.subscribe(topics, { since: "earliest" }));
    clock.stall(99);
    assertEquals(read(), ["foo 0", "foo 1", "foo 2", "caught-up"]);
    // In the same turn, in which readers at one position share what was read.
    clock.stall(1);
    assertEquals(read(), ["foo 0", "gap foo 1-1 expired", "foo 2", "caught-up"]);
  }
});
