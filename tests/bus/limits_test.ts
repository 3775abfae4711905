import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { DEFAULT_LIMITS, type Limits, limitsOf, MESSAGE_OVERHEAD_BYTES } from "../../lib/bus/limits.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { NO_TOTALS } from "./no_totals.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ...options }) };
}

/** What one message "hi" of a topic with a name of three characters counts as. */
const HI_BYTES = (() => {
  const { bus } = setUp();
  bus.put("foo", "hi");
  return bus.totals().bytes;
})();

const textsOf = (bus: MessageBus, topic: string) => {
  const texts: string[] = [];
  for (let message = bus.get(topic); message !== undefined; message = bus.get(topic)) texts.push(message.text());
  return texts;
};

Deno.test("limitsOf fills in the defaults of the documentation, for undefined too", () => {
  assertEquals(limitsOf({ ttlMs: undefined, maxMessages: 5 }), { ...DEFAULT_LIMITS, maxMessages: 5 });
  const MiB = 1024 ** 2;
  const expected: Limits = {
    ttlMs: 60_000,
    maxMessages: 65_536,
    maxTopicBytes: 64 * MiB,
    maxMemoryBytes: 512 * MiB,
    maxPayloadBytes: MiB,
    maxTopics: 65_536,
    topicIdleMs: 24 * 60 * 60 * 1000,
    maxGroups: 1000,
    maxLeased: 10_000,
    maxAttempts: 5,
    groupIdleMs: 24 * 60 * 60 * 1000,
    discard: "old",
    dedupeWindowMs: 120_000,
  };
  assertEquals(DEFAULT_LIMITS, expected);
});

Deno.test("MessageBus refuses limits that are none with bad_option", () => {
  const wrong: unknown[] = [
    { ttlMs: -1 },
    { ttlMs: 1.5 },
    { ttlMs: NaN },
    { ttlMs: Infinity },
    { ttlMs: 9_223_372_036_855 },
    { maxMessages: -1 },
    { maxTopicBytes: NaN },
    { maxTopics: "10" },
    { discard: "newest" },
  ];
  for (const limits of wrong) assertEquals(codeOf(() => new MessageBus(limits as BusOptions)), "bad_option");
});

Deno.test("MessageBus takes Infinity for no limit", () => {
  const { bus, clock } = setUp({ maxMessages: Infinity, maxMemoryBytes: Infinity, topicIdleMs: Infinity });
  bus.put("foo", "hi");
  clock.tick(1e9);
  assertEquals(bus.topics().length, 1);
});

Deno.test("MessageBus counts a message as its envelope in bytes plus 128", () => {
  const { bus } = setUp();
  for (const topic of ["foo", "größe/日本", 'say "hi"', "😀"]) {
    const before = bus.totals().bytes;
    const message = bus.put(topic, "grüß dich");
    const envelope = new TextEncoder().encode(encodeEnvelope(message)).length;
    assertEquals(bus.totals().bytes - before, envelope + MESSAGE_OVERHEAD_BYTES);
    assertEquals(bus.topic(topic)?.bytes, envelope + MESSAGE_OVERHEAD_BYTES);
  }
});

Deno.test("MessageBus with discard old drops the oldest messages over max messages", () => {
  const { bus } = setUp({ maxMessages: 3 });
  for (const payload of ["a", "b", "c", "d", "e"]) bus.put("foo", payload);
  assertEquals(bus.topic("foo")?.length, 3);
  assertEquals(bus.totals().dropped, 2);
  assertEquals(textsOf(bus, "foo"), ["c", "d", "e"]);
});

Deno.test("MessageBus with discard old drops the oldest messages over max topic bytes", () => {
  const { bus } = setUp({ maxTopicBytes: 2 * HI_BYTES });
  for (let i = 0; i < 5; i++) bus.put("foo", "hi");
  assertEquals(bus.topic("foo")?.length, 2);
  assertEquals(bus.topic("foo")?.bytes, 2 * HI_BYTES);
});

Deno.test("MessageBus with discard old drops as many small messages as a large one needs", () => {
  const { bus } = setUp({ maxTopicBytes: 4 * HI_BYTES });
  for (let i = 0; i < 4; i++) bus.put("foo", "hi");
  bus.put("foo", "x".repeat(HI_BYTES));
  const { length, bytes } = bus.topic("foo")!;
  assertEquals(length, 2);
  assert(bytes <= 4 * HI_BYTES);
});

Deno.test("MessageBus with discard old refuses with topic_full what no dropping makes room for, and drops nothing", () => {
  const { bus } = setUp({ maxTopicBytes: 2 * HI_BYTES });
  bus.put("foo", "hi");
  assertEquals(codeOf(() => bus.put("foo", "x".repeat(2 * HI_BYTES))), "topic_full");
  assertEquals(bus.topic("foo")?.length, 1);
  assertEquals(bus.put("foo", "hi").id, 1);
});

Deno.test("MessageBus with discard old refuses with overloaded what no dropping makes room for, and drops nothing", () => {
  const { bus } = setUp({ maxMemoryBytes: 2 * HI_BYTES });
  bus.put("foo", "hi");
  assertEquals(codeOf(() => bus.put("bar", "x".repeat(2 * HI_BYTES))), "overloaded");
  assertEquals(bus.topic("foo")?.length, 1);
  assertEquals(bus.topic("bar"), undefined);
});

Deno.test("MessageBus over max memory drops from the topic with most bytes", () => {
  const { bus } = setUp({ maxMemoryBytes: 6 * HI_BYTES });
  for (let i = 0; i < 2; i++) bus.put("bar", "hi");
  for (let i = 0; i < 4; i++) bus.put("foo", "hi");
  bus.put("baz", "hi");
  assertEquals(bus.topics().map(({ name, length }) => [name, length]), [["bar", 2], ["baz", 1], ["foo", 3]]);
  assert(bus.totals().bytes <= 6 * HI_BYTES);
});

Deno.test("MessageBus over max memory drops from the topic published to if that has most bytes", () => {
  const { bus } = setUp({ maxMemoryBytes: 3 * HI_BYTES });
  bus.put("bar", "hi");
  for (let i = 0; i < 5; i++) bus.put("foo", "hi");
  assertEquals(bus.topics().map(({ name, length }) => [name, length]), [["bar", 1], ["foo", 2]]);
});

Deno.test("MessageBus over max memory goes by the bytes that topics have now, not by those that expired", () => {
  const { bus, clock } = setUp({ maxMemoryBytes: 10 * HI_BYTES, ttlMs: 1000 });
  for (let i = 0; i < 6; i++) bus.put("foo", "hi");
  clock.tick(1000);
  for (let i = 0; i < 5; i++) bus.put("bar", "hi");
  for (let i = 0; i < 4; i++) bus.put("baz", "hi");
  for (let i = 0; i < 2; i++) bus.put("qux", "hi");
  const lengths = bus.topics().map(({ name, length }) => `${name} ${length}`);
  assertEquals(lengths, ["bar 4", "baz 4", "foo 0", "qux 2"]);
});

Deno.test("MessageBus never lets a noisy topic evict a quiet one", () => {
  const { bus } = setUp({ maxMemoryBytes: 100 * HI_BYTES });
  bus.put("bar", "kept");
  for (let i = 0; i < 10_000; i++) bus.put("foo", "hi");
  assertEquals(bus.get("bar")?.text(), "kept");
  assert(bus.totals().bytes <= 100 * HI_BYTES);
});

Deno.test("MessageBus over max memory drops several messages, of several topics, for one large message", () => {
  const { bus } = setUp({ maxMemoryBytes: 10 * HI_BYTES });
  for (let i = 0; i < 5; i++) {
    bus.put("bar", "hi");
    bus.put("foo", "hi");
  }
  bus.put("baz", "x".repeat(3 * HI_BYTES));
  const { bytes } = bus.totals();
  assert(bytes <= 10 * HI_BYTES, `${bytes} bytes`);
  assertEquals(bus.topics().map(({ length }) => length).sort(), [1, 2, 3]);
});

Deno.test("MessageBus with discard new refuses with topic_full over max messages", () => {
  const { bus } = setUp({ maxMessages: 2, discard: "new" });
  bus.put("foo", "a");
  bus.put("foo", "b");
  assertEquals(codeOf(() => bus.put("foo", "c")), "topic_full");
  assertEquals(textsOf(bus, "foo"), ["a", "b"]);
});

Deno.test("MessageBus with discard new refuses with topic_full over max topic bytes", () => {
  const { bus } = setUp({ maxTopicBytes: 2 * HI_BYTES, discard: "new" });
  bus.put("foo", "hi");
  bus.put("foo", "hi");
  assertEquals(codeOf(() => bus.put("foo", "")), "topic_full");
});

Deno.test("MessageBus with discard new refuses with overloaded over max memory", () => {
  const { bus } = setUp({ maxMemoryBytes: 2 * HI_BYTES, discard: "new" });
  bus.put("foo", "hi");
  bus.put("bar", "hi");
  assertEquals(codeOf(() => bus.put("baz", "hi")), "overloaded");
  assertEquals(bus.topics().map(({ name, length }) => [name, length]), [["bar", 1], ["foo", 1]]);
});

Deno.test("MessageBus with discard new takes no id for a refused publish", () => {
  const { bus } = setUp({ maxMessages: 1, discard: "new" });
  bus.put("foo", "a");
  codeOf(() => bus.put("foo", "b"));
  bus.get("foo");
  assertEquals(bus.put("foo", "c").id, 1);
});

Deno.test("MessageBus with discard new refuses several that don't fit together, all of them", async () => {
  const { bus } = setUp({ maxMessages: 3, discard: "new" });
  bus.put("foo", "a");
  assertEquals(await codeOfRejection(bus.publish("foo", ["b", "c", "d"])), "topic_full");
  assertEquals((await bus.publish("foo", ["b", "c"])).id, 1);
});

Deno.test("MessageBus with discard new makes room of what the queue has handed out", () => {
  const { bus } = setUp({ maxMessages: 2, discard: "new" });
  const late = bus.subscribe("foo");
  bus.put("foo", "a");
  bus.put("foo", "b");
  bus.get("foo");
  bus.put("foo", "c");
  assertEquals(bus.topic("foo")?.length, 2);
  assertEquals(late.take()?.text(), "b");
  assertEquals(textsOf(bus, "foo"), ["b", "c"]);
});

Deno.test("MessageBus with discard new makes room of pulled messages only as far as it must", () => {
  const { bus } = setUp({ maxMessages: 2, discard: "new" });
  bus.put("foo", "a");
  bus.get("foo");
  bus.put("foo", "b");
  assertEquals(bus.topic("foo")?.length, 2);
});

Deno.test("MessageBus with discard new makes room in memory of the topic that has most pulled bytes", () => {
  const { bus } = setUp({ maxMemoryBytes: 7 * HI_BYTES, discard: "new" });
  for (let i = 0; i < 3; i++) bus.put("foo", "hi");
  for (let i = 0; i < 4; i++) bus.put("bar", "hi");
  bus.get("foo");
  bus.get("foo");
  bus.get("bar");
  bus.put("baz", "hi");
  assertEquals(bus.topics().map(({ name, length }) => [name, length]), [["bar", 4], ["baz", 1], ["foo", 2]]);
});

Deno.test("MessageBus with discard new never drops what nobody has pulled, at digit boundaries of ids neither", async () => {
  const { bus } = setUp({ maxTopicBytes: 12 * HI_BYTES, discard: "new" });
  // The envelopes of ids 9, 10 and 11 are longer than that of id 0.
  assertEquals(await codeOfRejection(bus.publish("foo", Array(12).fill("hi"))), "topic_full");
  for (let i = 0; i < 7; i++) bus.put("foo", "hi");
  for (let i = 0; i < 7; i++) bus.get("foo");
  assertEquals(await codeOfRejection(bus.publish("foo", Array(12).fill("hi"))), "topic_full");
  assertEquals(bus.topic("foo")?.length, 7);
});

Deno.test("MessageBus with discard new makes room of what has expired, though nothing has swept", () => {
  const { bus, clock } = setUp({ maxMessages: 1, ttlMs: 1000, discard: "new" });
  bus.put("foo", "a");
  clock.stall(1000);
  assertEquals(bus.put("foo", "b").id, 1);
});

for (const discard of ["old", "new"] as const) {
  Deno.test(`MessageBus with discard ${discard} drops what has expired as expired, not for a limit`, () => {
    const { bus, clock } = setUp({ maxMessages: 1, ttlMs: 1000, discard });
    bus.put("foo", "a");
    clock.stall(1000);
    bus.put("foo", "b");
    const { expired, dropped } = bus.totals();
    assertEquals({ expired, dropped }, { expired: 1, dropped: 0 });
  });
}

Deno.test("MessageBus accepts payloads of max payload bytes and refuses longer ones with too_large", () => {
  const { bus } = setUp({ maxPayloadBytes: 4 });
  bus.put("foo", "1234");
  assertEquals(codeOf(() => bus.put("foo", "12345")), "too_large");
  assertEquals(codeOf(() => bus.put("foo", "ü1234")), "too_large");
  assertEquals(codeOf(() => bus.put("bar", "12345")), "too_large");
  assertEquals(bus.topics().map(({ name, seq }) => [name, seq]), [["foo", 1]]);
});

Deno.test("MessageBus makes max topics and refuses a further one with too_many_topics", async () => {
  const { bus } = setUp({ maxTopics: 2 });
  bus.put("foo", "hi");
  bus.put("bar", "hi");
  assertEquals(codeOf(() => bus.put("baz", "hi")), "too_many_topics");
  assertEquals(bus.put("foo", "hi").id, 1);
  await bus.delete("bar");
  assertEquals(bus.put("baz", "hi").id, 0);
});

Deno.test("MessageBus keeps a subscription that waits for a topic whose first publish is refused", () => {
  const { bus } = setUp({ maxPayloadBytes: 4 });
  const subscription = bus.subscribe("foo");
  codeOf(() => bus.put("foo", "12345"));
  assertEquals(subscription.take(), undefined);
  bus.put("foo", "1234");
  assertEquals(subscription.take()?.id, 0);
});

Deno.test("MessageBus.totals gives everything back when its topics are deleted", async () => {
  for (const discard of ["old", "new"] as const) {
    const { bus } = setUp({ discard });
    await bus.publish("foo", ["a", "b", "c"]);
    await bus.publish("bar", ["a", "b"]);
    bus.get("foo");
    await bus.delete("foo");
    assertEquals(bus.totals().bytes, bus.topic("bar")?.bytes);
    await bus.delete("bar");
    const { topics, messages, bytes } = bus.totals();
    assertEquals({ topics, messages, bytes }, { topics: 0, messages: 0, bytes: 0 });
  }
});

Deno.test("MessageBus.totals counts what was done", async () => {
  const { bus, clock } = setUp({ maxMessages: 3, ttlMs: 1000 });
  const subscriptions = [bus.subscribe("foo"), bus.subscribe("foo"), bus.subscribe("no such topic")];
  await bus.publish("foo", ["a", "b", "c"]);
  await bus.publish("foo", "d");
  bus.get("foo");
  bus.get("no such topic");
  subscriptions[0]!.take();
  subscriptions[0]!.take();
  subscriptions[1]!.take();
  bus.put("bar", "a");
  const bytes = bus.topics().reduce((sum, topic) => sum + topic.bytes, 0);
  assertEquals(bus.totals(), {
    ...NO_TOTALS,
    topics: 2,
    messages: 4,
    bytes,
    residentBytes: bytes,
    subscriptions: 3,
    published: 5,
    pulled: 1,
    delivered: 3,
    expired: 0,
    dropped: 1,
  });
  clock.tick(1000);
  assertEquals(bus.totals().expired, 4);
});
