import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { ControlEvent, Gap } from "../../lib/event.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { assert, assertEquals } from "../deps.ts";
import { deliveriesOf, lineOf } from "./deliveries.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const told: (string | undefined)[] = [];
  const observer = { gap: (gap: Gap) => told.push(lineOf(gap)) };
  const bus = new MessageBus({ clock, ttlMs: 1000, observer, ...options });
  const put = (topic: string, count: number) => {
    for (let i = 0; i < count; i++) bus.put(topic, "hi");
  };
  /** Puts a message for each time to live. */
  const putAll = (topic: string, ...ttls: number[]) => {
    for (const ttlMs of ttls) bus.put(topic, "hi", { ttlMs });
  };
  /** Subscribes, and reads what there is. */
  const subscribe = (topics: string) => {
    const subscription = bus.subscribe(topics);
    deliveriesOf(subscription);
    return subscription;
  };
  return { clock, bus, put, putAll, subscribe, told };
}

Deno.test("Subscription.read tells what a limit dropped, from the id it wanted to the last one gone, then goes on", () => {
  const { put, subscribe } = setUp({ maxMessages: 2 });
  const subscription = subscribe("foo");
  put("foo", 5);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-2 dropped", "foo 3", "foo 4"]);
});

Deno.test("Subscription.read tells what expired, though nothing has swept", () => {
  const { clock, put, subscribe } = setUp();
  const subscription = subscribe("foo");
  put("foo", 2);
  clock.stall(500);
  put("foo", 1);
  clock.stall(500);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-1 expired", "foo 2"]);
});

Deno.test("Subscription.read tells a gap when all messages have expired, before any comes", () => {
  const { clock, put, subscribe } = setUp();
  const subscription = subscribe("foo");
  put("foo", 3);
  clock.tick(1000);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-2 expired"]);
});

Deno.test("Subscription.read tells one gap, dropped, of what was dropped and what expired after it", () => {
  const { clock, put, subscribe } = setUp({ maxMessages: 2 });
  const subscription = subscribe("foo");
  put("foo", 3);
  clock.tick(1000);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-2 dropped"]);
});

Deno.test("Subscription.read tells expired to who has read what a limit dropped", () => {
  const { clock, put, subscribe } = setUp({ maxMessages: 2 });
  const subscription = subscribe("foo");
  put("foo", 1);
  deliveriesOf(subscription);
  put("foo", 2);
  clock.tick(1000);
  assertEquals(deliveriesOf(subscription), ["gap foo 1-2 expired"]);
});

Deno.test("Subscription.read tells every hole in its place, with the ids that are gone there", () => {
  const { clock, putAll, subscribe } = setUp();
  const subscriptions = [subscribe("foo"), subscribe("*")];
  putAll("foo", 100, 0, 100, 0, 100, 200, 0, 300, 100);
  clock.tick(200);
  const lines = [
    "gap foo 0-0 expired",
    "foo 1",
    "gap foo 2-2 expired",
    "foo 3",
    "gap foo 4-5 expired",
    "foo 6",
    "foo 7",
  ];
  for (const subscription of subscriptions) {
    assertEquals(deliveriesOf(subscription), [...lines, "gap foo 8-8 expired"]);
  }
});

Deno.test("Subscription.read tells of a hole what is gone when it comes there", () => {
  const { clock, putAll, subscribe } = setUp();
  for (const topics of ["foo", "*"]) {
    const subscription = subscribe(topics);
    putAll("foo", 0, 100, 200, 0);
    const first = subscription.take()!.id;
    clock.tick(100);
    clock.tick(100);
    assertEquals(deliveriesOf(subscription), [`gap foo ${first + 1}-${first + 2} expired`, `foo ${first + 3}`]);
  }
});

Deno.test("Subscription.read tells expired of a hole, and dropped from where a limit has dropped something", () => {
  const { clock, putAll, subscribe } = setUp({ maxMessages: 3 });
  const [early, late] = [subscribe("foo"), subscribe("foo")];
  putAll("foo", 0, 100, 0);
  early.take();
  clock.tick(100);
  putAll("foo", 0, 0);
  assertEquals(deliveriesOf(early), ["gap foo 1-1 expired", "foo 2", "foo 3", "foo 4"]);
  assertEquals(deliveriesOf(late), ["gap foo 0-1 dropped", "foo 2", "foo 3", "foo 4"]);
});

Deno.test("Subscription.read tells dropped of a hole that a limit has reached", () => {
  const { clock, putAll, subscribe } = setUp({ maxMessages: 3 });
  const subscription = subscribe("foo");
  putAll("foo", 0, 100, 0);
  assertEquals(subscription.take()?.id, 0);
  clock.tick(100);
  putAll("foo", 0, 0, 0);
  assertEquals(deliveriesOf(subscription), ["gap foo 1-2 dropped", "foo 3", "foo 4", "foo 5"]);
});

Deno.test("Subscription.read tells a gap once", () => {
  const { clock, put, subscribe, told } = setUp();
  const subscription = subscribe("foo");
  put("foo", 1);
  clock.tick(1000);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-0 expired"]);
  assertEquals(deliveriesOf(subscription), []);
  put("foo", 1);
  assertEquals(deliveriesOf(subscription), ["foo 1"]);
  assertEquals(told, ["gap foo 0-0 expired"]);
});

Deno.test("Subscription.read tells each gap to each subscription that had not read the messages", () => {
  const { clock, put, subscribe } = setUp();
  const [early, late] = [subscribe("foo"), subscribe("*")];
  put("foo", 2);
  early.take();
  clock.tick(1000);
  assertEquals(deliveriesOf(early), ["gap foo 1-1 expired"]);
  assertEquals(deliveriesOf(late), ["gap foo 0-1 expired"]);
});

Deno.test("Subscription.take gives gaps to onEvent, before the message that follows", () => {
  const { bus, put } = setUp({ maxMessages: 1 });
  const seen: (string | number | undefined)[] = [];
  const onEvent = (event: ControlEvent) => seen.push(event.event === "gap" ? lineOf(event) : event.event);
  const subscription = bus.subscribe("foo", { onEvent });
  seen.push(subscription.take()?.id);
  put("foo", 2);
  seen.push(subscription.take()?.id, subscription.take()?.id);
  assertEquals(seen, ["caught-up", undefined, "gap foo 0-0 dropped", 1, undefined]);
});

Deno.test("Subscription.read gives with a gap the cursor after it", () => {
  const { bus, put, subscribe } = setUp({ maxMessages: 1 });
  const subscription = subscribe("foo");
  put("foo", 3);
  const gap = subscription.read();
  assertEquals(gap, {
    event: "gap",
    topic: "foo",
    from: 0,
    to: 1,
    reason: "dropped",
    cursor: `2@${bus.topic("foo")?.cursor.split("@")[1]}`,
  });
});

Deno.test("Subscription.read on several topics tells a gap in the place of its first message", () => {
  const { clock, put, subscribe } = setUp({ maxMessages: 1 });
  const subscription = subscribe("a,b,c");
  for (const topic of ["a", "b", "c", "b"]) {
    put(topic, 1);
    clock.tick(1);
  }
  assertEquals(deliveriesOf(subscription), ["a 0", "gap b 0-0 dropped", "c 0", "b 1"]);
});

Deno.test("Subscription.cursor on several topics stays before a hole until that is told", () => {
  const { clock, bus, putAll, subscribe } = setUp();
  const subscription = subscribe("*");
  for (const ttlMs of [0, 0, 100, 100, 0]) {
    clock.tick(1);
    putAll("foo", ttlMs);
  }
  clock.tick(100);
  const resumed = () => deliveriesOf(bus.subscribe("*", { since: parseSince(subscription.cursor, 0) }));
  const cursors: string[][] = [];
  for (let at = 0; at < 4; at++) {
    cursors.push(resumed());
    subscription.read({ maxMessages: 1 });
  }
  assertEquals(cursors, [
    ["foo 0", "foo 1", "gap foo 2-3 expired", "foo 4", "caught-up"],
    ["foo 1", "gap foo 2-3 expired", "foo 4", "caught-up"],
    ["foo 1", "gap foo 2-3 expired", "foo 4", "caught-up"],
    ["foo 4", "caught-up"],
  ]);
});

Deno.test("Subscription.cursor on several topics that stays before a hole tells of it when what was read is gone too", () => {
  const { clock, bus, putAll, subscribe } = setUp();
  const subscription = subscribe("*");
  for (const ttlMs of [0, 200, 100, 0]) {
    putAll("foo", ttlMs);
    clock.tick(1);
  }
  clock.tick(100);
  subscription.read({ maxMessages: 1 });
  subscription.read({ maxMessages: 1 });
  const since = parseSince(subscription.cursor, 0);
  clock.tick(100);
  assertEquals(deliveriesOf(bus.subscribe("*", { since })), ["gap foo null-2 expired", "foo 3", "caught-up"]);
});

Deno.test("Subscription.read on several topics tells a hole before what other topics got meanwhile", () => {
  const { clock, putAll, subscribe } = setUp();
  const subscription = subscribe("a,b");
  for (const [topic, ttlMs] of [["a", 0], ["b", 0], ["a", 100], ["b", 0], ["a", 0]] as const) {
    putAll(topic, ttlMs);
    clock.tick(1);
  }
  clock.tick(100);
  assertEquals(deliveriesOf(subscription), ["a 0", "gap a 1-1 expired", "b 0", "b 1", "a 2"]);
});

Deno.test("Subscription.read on several topics tells the gap of a topic that was forgotten since", () => {
  const { clock, bus, put } = setUp({ topicIdleMs: 500 });
  const subscription = bus.subscribe("*");
  deliveriesOf(subscription);
  put("foo", 2);
  clock.flush();
  clock.tick(1500);
  assertEquals(bus.topics(), []);
  put("foo", 1);
  assertEquals(deliveriesOf(subscription), ["gap foo 0-1 expired", "foo 0"]);
});

Deno.test("Subscription.cursor on several topics names no time before a message of the turn that is gone already", () => {
  const { clock, bus, put, subscribe } = setUp({ maxMessages: 1 });
  const subscription = subscribe("*");
  put("foo", 2);
  assertEquals(parseSince(subscription.cursor, 0), { createdMs: clock.now() });
  const again = bus.subscribe("*", { since: parseSince(subscription.cursor, 0) });
  assertEquals(deliveriesOf(again), ["gap foo null-0 dropped", "foo 1", "caught-up"]);
});

Deno.test("MessageBus.pullBatch tells once what the queue has lost, to the first who pulls", async () => {
  const { put, bus, told } = setUp({ maxMessages: 2 });
  put("foo", 5);
  const first = await bus.pullBatch("foo");
  assertEquals([lineOf(first.gap), first.messages[0]?.id], ["gap foo 0-2 dropped", 3]);
  assertEquals((await bus.pullBatch("foo")).gap, undefined);
  assertEquals(told, ["gap foo 0-2 dropped"]);
});

Deno.test("MessageBus.pullBatch tells what the queue has lost though nothing is left", async () => {
  const { clock, put, bus } = setUp();
  put("foo", 2);
  bus.get("foo");
  clock.tick(1000);
  const { messages, gap } = await bus.pullBatch("foo");
  assertEquals({ messages, gap: lineOf(gap) }, { messages: [], gap: "gap foo 1-1 expired" });
});

Deno.test("MessageBus.pullBatch tells once what the queue has lost, though nothing is left", async () => {
  const { clock, put, bus } = setUp();
  put("foo", 2);
  clock.tick(1000);
  assertEquals(lineOf((await bus.pullBatch("foo")).gap), "gap foo 0-1 expired");
  assertEquals((await bus.pullBatch("foo")).gap, undefined);
});

Deno.test("MessageBus.pullBatch tells nothing of what the queue had handed out", async () => {
  const { clock, put, bus } = setUp();
  put("foo", 2);
  bus.get("foo");
  bus.get("foo");
  clock.tick(1000);
  assertEquals((await bus.pullBatch("foo")).gap, undefined);
});

Deno.test("MessageBus.pullBatch ends before what is gone in the middle, which the next one is told", async () => {
  const { clock, bus, putAll, told } = setUp();
  putAll("foo", 100, 0, 0, 100, 100, 0, 100);
  clock.tick(100);
  const pulled: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    const { messages, gap } = await bus.pullBatch("foo");
    pulled.push([lineOf(gap), messages.map(({ id }) => id)]);
  }
  const gaps = ["gap foo 0-0 expired", "gap foo 3-4 expired", "gap foo 6-6 expired"];
  assertEquals(pulled, [[gaps[0], [1, 2]], [gaps[1], [5]], [gaps[2], []], [undefined, []]]);
  assertEquals(told, gaps);
  assertEquals(bus.topic("foo")?.pending, 0);
});

Deno.test("MessageBus.get passes over what is gone in the middle, and tells its observer", () => {
  const { clock, bus, putAll, told } = setUp();
  putAll("foo", 0, 100, 0);
  clock.tick(100);
  assertEquals([bus.get("foo")?.id, bus.get("foo")?.id, bus.get("foo")?.id], [0, 2, undefined]);
  assertEquals(told, ["gap foo 1-1 expired"]);
});

Deno.test("MessageBus.delete ends what is told of the topic", async () => {
  const { clock, bus, put, subscribe } = setUp({ maxMessages: 1 });
  const subscription = subscribe("foo,bar");
  put("foo", 3);
  put("bar", 1);
  clock.flush();
  await bus.delete("foo");
  assertEquals(deliveriesOf(subscription), ["deleted foo", "bar 0"]);
});

Deno.test("MessageBus.drain leaves nothing of a topic that is deleted afterwards, on several topics neither", async () => {
  const { bus, put, subscribe } = setUp();
  const subscription = subscribe("foo,bar");
  put("foo", 2);
  put("bar", 1);
  bus.drain();
  await bus.delete("foo");
  assertEquals(subscription.lag, 1);
  assertEquals(deliveriesOf(subscription), ["deleted foo", "bar 0"]);
  assertEquals(bus.totals().bytes, bus.topic("bar")?.bytes);
});

Deno.test("Subscription.read tells no gap to a reader that has no room for the message after it", () => {
  for (const pattern of ["foo", "foo,bar"]) {
    const bus = new MessageBus({ clock: new TestClock(), maxMessages: 1 });
    bus.put("foo", "a");
    const subscription = bus.subscribe(pattern, { since: "earliest" });
    for (const payload of ["b", "c", "d"]) {
      bus.put("foo", payload);
      assertEquals(subscription.read({ maxBytes: 10 }), "full");
    }
    const gap = subscription.read();
    assert(typeof gap === "object" && gap.event === "gap", pattern);
    assertEquals([gap.from, gap.to], [0, 2]);
    assertEquals(subscription.take()?.text(), "d");
  }
});

Deno.test("Subscription.read tells no gap in the middle to a reader that has no room for the message after it", () => {
  for (const pattern of ["foo", "foo,bar"]) {
    const { clock, bus, putAll } = setUp();
    putAll("foo", 0, 100);
    bus.put("foo", "x".repeat(1000), { ttlMs: 0 });
    clock.tick(100);
    const subscription = bus.subscribe(pattern, { since: "earliest" });
    assertEquals(subscription.take()?.id, 0);
    assertEquals(subscription.read({ maxBytes: 500 }), "full");
    assertEquals(deliveriesOf(subscription), ["gap foo 1-1 expired", "foo 2", "caught-up"]);
  }
});
