import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { parseCursor } from "../../lib/message.ts";
import { assert, assertEquals } from "../deps.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ttlMs: 1000, topicIdleMs: 60_000, ...options }) };
}

Deno.test("MessageBus.topic describes a topic", () => {
  const { bus, clock } = setUp({ ttlMs: 5000 });
  const createdMs = clock.now();
  bus.put("a/b", "hi");
  bus.put("a/b", "hi");
  bus.get("a/b");
  bus.subscribe("a/b");
  const { bytes } = bus.totals();
  assertEquals(bus.topic("/a/b/"), {
    name: "a/b",
    ttlMs: 5000,
    createdMs,
    seq: 2,
    cursor: `2@${createdMs.toString(36)}`,
    length: 2,
    pending: 1,
    bytes,
    subscribers: 1,
    groups: 0,
  });
  assertEquals(bus.topic("a"), undefined);
});

Deno.test("MessageBus.topics lists the topics by name", () => {
  const { bus } = setUp();
  for (const name of ["b", "a/b", "B", "é", "a"]) bus.put(name, "hi");
  assertEquals(bus.topics().map((topic) => topic.name), ["B", "a", "a/b", "b", "é"]);
});

Deno.test("MessageBus knows a topic by its canonical name, with outer slashes and without", async () => {
  const { bus } = setUp();
  bus.put("/a/b/", "0");
  assertEquals(bus.put("a/b", "1").id, 1);
  assertEquals(bus.get("//a/b")?.topic.name, "a/b");
  assertEquals(bus.topics().length, 1);
  assertEquals(await bus.delete("a/b/"), true);
});

Deno.test("MessageBus takes the names of object members for ordinary topics", async () => {
  const { bus, clock } = setUp();
  const names = ["__proto__", "constructor", "hasOwnProperty", "toString", "valueOf"];
  for (const name of names) {
    assertEquals(bus.get(name), undefined);
    assertEquals(bus.topic(name), undefined);
    assertEquals(await bus.delete(name), false);
    const subscription = bus.subscribe(name);
    assertEquals((await bus.publish(name, "x")).topic, name);
    assertEquals(bus.topic(name)?.length, 1);
    assertEquals(subscription.take()?.topic.name, name);
    assertEquals(bus.get(name)?.text(), "x");
  }
  assertEquals(bus.topics().map((topic) => topic.name), names.toSorted());
  clock.tick(1000);
  for (const name of names) assertEquals(await bus.delete(name), true);
  assertEquals(bus.topics(), []);
  // deno-lint-ignore no-explicit-any
  assertEquals(({} as any).x, undefined);
  assertEquals(Object.keys(Object.prototype), []);
});

Deno.test("MessageBus.delete forgets the topic with its messages", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  assertEquals(await bus.delete("foo"), true);
  assertEquals(bus.get("foo"), undefined);
  assertEquals(bus.topic("foo"), undefined);
  assertEquals(await bus.delete("foo"), false);
});

Deno.test("MessageBus.delete leaves the topics below the name alone", async () => {
  const { bus } = setUp();
  bus.put("a", "hi");
  bus.put("a/b", "hi");
  await bus.delete("a");
  assertEquals(bus.topics().map((topic) => topic.name), ["a/b"]);
});

Deno.test("MessageBus.delete and put again begin at id 0 with an empty queue", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  bus.get("foo");
  await bus.delete("foo");
  bus.put("foo", "b");
  const message = bus.get("foo");
  assertEquals({ id: message?.id, text: message?.text() }, { id: 0, text: "b" });
});

Deno.test("MessageBus.delete and put again in one millisecond give another epoch every time", async () => {
  const { bus } = setUp();
  const epochs = new Set<string>();
  for (let i = 0; i < 100; i++) {
    epochs.add(bus.put("foo", "hi").topic.epoch);
    await bus.delete("foo");
  }
  assertEquals(epochs.size, 100);
});

Deno.test("MessageBus.delete and put again give another epoch when the clock was set back meanwhile", async () => {
  const { bus, clock } = setUp();
  const epochs = new Set<string>();
  for (const setBackMs of [0, 1, 50_000, 3_600_000, clock.now() - 10_000_000]) {
    clock.set(-setBackMs);
    epochs.add(bus.put("foo", "hi").topic.epoch);
    await bus.delete("foo");
  }
  assertEquals(epochs.size, 5);
});

Deno.test("MessageBus gives topics of different names made in one millisecond different epochs", () => {
  const { bus } = setUp();
  const epochs = new Set(["a", "b", "c"].map((name) => bus.put(name, "hi").topic.epoch));
  assertEquals(epochs.size, 3);
});

Deno.test("MessageBus.subscribe with the cursor of a deleted topic begins with the first message of the new one", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const since = parseCursor(bus.put("foo", "b").cursor)!;
  await bus.delete("foo");
  for (const payload of ["c", "d", "e"]) bus.put("foo", payload);
  assertEquals(bus.subscribe("foo", { since }).take()?.text(), "c");
});

Deno.test("MessageBus forgets a topic when it was idle for its time, and gives the next one another epoch", () => {
  const { bus, clock } = setUp();
  const { epoch } = bus.put("foo", "a").topic;
  clock.tick(1000 + 59_999);
  assertEquals(bus.topic("foo")?.seq, 1);
  clock.tick(1);
  assertEquals(bus.topic("foo"), undefined);
  assertEquals(clock.timers, 0);
  const message = bus.put("foo", "b");
  assertEquals(message.id, 0);
  assert(message.topic.epoch !== epoch);
});

Deno.test("MessageBus counts the idle time of a topic from its last message's end, however long that was kept", () => {
  const { bus, clock } = setUp({ ttlMs: 100_000, topicIdleMs: 1000 });
  bus.put("foo", "a");
  clock.tick(100_999);
  assertEquals(bus.topic("foo")?.seq, 1);
  clock.tick(1);
  assertEquals(bus.topic("foo"), undefined);
});

Deno.test("MessageBus never forgets a topic with retained messages", () => {
  const { bus, clock } = setUp({ ttlMs: 0 });
  bus.put("foo", "a");
  bus.get("foo");
  clock.tick(1_000_000);
  assertEquals(bus.topic("foo")?.length, 1);
});

Deno.test("MessageBus forgets a topic of ttl 0 that the memory limit emptied", () => {
  const { bus, clock } = setUp({ ttlMs: 0, maxMemoryBytes: 2000 });
  bus.put("foo", "x".repeat(800));
  clock.tick(100_000);
  bus.put("bar", "x".repeat(800));
  assertEquals(bus.topic("foo")?.length, 0);
  clock.tick(59_999);
  assertEquals(bus.topic("foo")?.seq, 1);
  clock.tick(20);
  assertEquals(bus.topic("foo"), undefined);
  assertEquals(bus.topic("bar")?.length, 1);
});

Deno.test("MessageBus never forgets a topic with a subscription, and counts the idle time from its end", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  clock.tick(1_000_000);
  assertEquals(bus.topic("foo")?.seq, 1);
  subscription.close();
  clock.tick(59_999);
  assertEquals(bus.topic("foo")?.seq, 1);
  clock.tick(1);
  assertEquals(bus.topic("foo"), undefined);
});

Deno.test("MessageBus counts a pull as use of a topic", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  clock.tick(50_000);
  bus.get("foo");
  clock.tick(59_999);
  assertEquals(bus.topic("foo")?.seq, 1);
  clock.tick(1);
  assertEquals(bus.topic("foo"), undefined);
});

Deno.test("MessageBus with topic idle 0 forgets a topic with its last message", () => {
  const { bus, clock } = setUp({ topicIdleMs: 0 });
  bus.put("foo", "a");
  clock.tick(999);
  assertEquals(bus.topics().length, 1);
  clock.tick(1);
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.subscribe after its topic was forgotten waits for the next one of that name", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  clock.tick(100_000);
  const subscription = bus.subscribe("foo", { since: "latest" });
  bus.put("foo", "b");
  assertEquals(subscription.take()?.text(), "b");
});
