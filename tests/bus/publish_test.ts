import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows, fail } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

const busWith = (options: BusOptions = {}) => new MessageBus({ clock: new TestClock(), ...options });

Deno.test("MessageBus does the hello example of the README", () => {
  const bus = busWith();
  bus.put("foo", "Hello World!");
  const message = bus.get("foo") ?? fail("nothing was put");
  assertEquals(
    `id=${message.id} topic=${message.topic.name} payload=${message.text()}`,
    "id=0 topic=foo payload=Hello World!",
  );
});

Deno.test("MessageBus needs no options and no clock of the caller", async () => {
  await using bus = new MessageBus();
  const before = Date.now();
  const message = bus.put("foo", "hi");
  assert(message.createdMs >= before && message.createdMs <= Date.now());
  assertEquals(message.ttlMs, 60_000);
});

Deno.test("MessageBus.put gives ids 0, 1, 2 without gaps", () => {
  const bus = busWith();
  assertEquals([0, 1, 2].map(() => bus.put("foo", "hi").id), [0, 1, 2]);
});

Deno.test("MessageBus.put counts ids per topic", () => {
  const bus = busWith();
  bus.put("foo", "hi");
  assertEquals(bus.put("bar", "hi").id, 0);
  assertEquals(bus.put("foo", "hi").id, 1);
});

Deno.test("MessageBus.put says in the message what was published, where and when", () => {
  const clock = new TestClock();
  const bus = busWith({ clock, ttlMs: 5000 });
  const madeMs = clock.now();
  bus.put("foo", "hi");
  clock.tick(10);
  const message = bus.put("foo", "grüß");
  assertEquals(message.text(), "grüß");
  assertEquals(message.createdMs, madeMs + 10);
  assertEquals(message.expiresMs, madeMs + 10 + 5000);
  assertEquals(message.topic, { name: "foo", ttlMs: 5000, createdMs: madeMs, epoch: madeMs.toString(36) });
});

Deno.test("MessageBus.put keeps any bytes, the empty payload among them", () => {
  const bus = busWith();
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  bus.put("foo", bytes);
  bus.put("foo", "");
  assertStrictEquals(bus.get("foo")?.payload, bytes);
  assertEquals(bus.get("foo")?.payload, new Uint8Array(0));
});

Deno.test("MessageBus.put refuses what is neither text nor bytes, and keeps its counts", () => {
  const bus = busWith();
  assertThrows(() => bus.put("foo", new ArrayBuffer(3) as unknown as Uint8Array), TypeError, "A payload is");
  assertThrows(() => bus.put("foo", undefined as unknown as string), TypeError);
  assertEquals(bus.totals().bytes, 0);
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.get hands out each message once, oldest first", () => {
  const bus = busWith();
  bus.put("foo", "a");
  bus.put("foo", "b");
  assertEquals(bus.get("foo")?.text(), "a");
  assertEquals(bus.get("foo")?.text(), "b");
  assertEquals(bus.get("foo"), undefined);
});

Deno.test("MessageBus.get goes on with what is put after the queue was empty", () => {
  const bus = busWith();
  bus.put("foo", "a");
  bus.get("foo");
  bus.get("foo");
  bus.put("foo", "b");
  assertEquals(bus.get("foo")?.id, 1);
});

Deno.test("MessageBus.get finds nothing in a topic that doesn't exist, and doesn't make it", () => {
  const bus = busWith();
  assertEquals(bus.get("foo"), undefined);
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.get keeps pulled messages in the log for those who read it", () => {
  const bus = busWith();
  bus.put("foo", "a");
  bus.get("foo");
  const { length, pending } = bus.topic("foo")!;
  assertEquals({ length, pending }, { length: 1, pending: 0 });
});

Deno.test("MessageBus.get jumps over what a limit has dropped", () => {
  const bus = busWith({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  assertEquals(bus.get("foo")?.text(), "b");
});

Deno.test("MessageBus.pull takes from the same queue as get", async () => {
  const bus = busWith();
  bus.put("foo", "a");
  bus.put("foo", "b");
  bus.put("foo", "c");
  assertEquals((await bus.pull("foo"))?.text(), "a");
  assertEquals(bus.get("foo")?.text(), "b");
  assertEquals((await bus.pull("/foo/"))?.text(), "c");
  assertEquals(await bus.pull("foo"), undefined);
});

Deno.test("MessageBus.pull gives each message to one of many who pull at once", async () => {
  const bus = busWith();
  await bus.publish("foo", ["a", "b", "c"]);
  const pulled = await Promise.all(Array.from({ length: 5 }, () => bus.pull("foo")));
  assertEquals(pulled.map((message) => message?.id), [0, 1, 2, undefined, undefined]);
});

Deno.test("MessageBus.publish answers with a receipt", async () => {
  const bus = busWith();
  bus.put("foo", "hi");
  const { epoch } = bus.get("foo")!.topic;
  bus.subscribe("foo");
  bus.subscribe("foo");
  assertEquals(await bus.publish("/foo", "hi"), {
    topic: "foo",
    id: 1,
    count: 1,
    cursor: `2@${epoch}`,
    durability: "memory",
    subscribers: 2,
  });
});

Deno.test("MessageBus.publish of several gives consecutive ids, and a receipt of the first id and the last cursor", async () => {
  const bus = busWith();
  bus.put("foo", "a");
  const { id, count, cursor } = await bus.publish("foo", ["b", new Uint8Array([99]), "d"]);
  assertEquals({ id, count, next: cursor.split("@")[0] }, { id: 1, count: 3, next: "4" });
  assertEquals([0, 1, 2, 3].map(() => bus.get("foo")?.text()), ["a", "b", "c", "d"]);
});

Deno.test("MessageBus.publish of several publishes none if one is too large", async () => {
  const bus = busWith({ maxPayloadBytes: 3 });
  bus.put("foo", "a");
  assertEquals(await codeOfRejection(bus.publish("foo", ["b", "long", "c"])), "too_large");
  assertEquals(bus.topic("foo")?.seq, 1);
  assertEquals(bus.put("foo", "d").id, 1);
});

Deno.test("MessageBus.publish of several refuses what would drop itself, all of it, and drops older ones for the rest", async () => {
  const bus = busWith({ maxMessages: 2 });
  assertEquals(await codeOfRejection(bus.publish("foo", ["a", "b", "c"])), "topic_full");
  assertEquals(bus.topics(), []);
  await bus.publish("foo", ["a", "b"]);
  await bus.publish("foo", ["c", "d"]);
  assertEquals([0, 1, 2].map(() => bus.get("foo")?.id), [2, 3, undefined]);
});

Deno.test("MessageBus.publish refuses no message at all, and makes no topic", async () => {
  const bus = busWith();
  assertEquals(await codeOfRejection(bus.publish("foo", [])), "bad_request");
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.publish rejects, and never throws at once", async () => {
  const bus = busWith();
  await assertRejects(() => bus.publish("a//b", "hi"));
  await assertRejects(() => bus.pull("a//b"));
  await assertRejects(() => bus.delete("a//b"));
});

Deno.test("MessageBus.put, publish and get take effect in the order of the calls", async () => {
  const bus = busWith();
  const first = bus.publish("foo", "a");
  assertEquals(bus.put("foo", "b").id, 1);
  assertEquals(bus.get("foo")?.text(), "a");
  assertEquals((await first).id, 0);
});

Deno.test("MessageBus.put never lets created go back when the clock is set back", () => {
  const clock = new TestClock();
  const bus = busWith({ clock });
  const { createdMs } = bus.put("foo", "a");
  clock.set(-50_000);
  assertEquals(bus.put("foo", "b").createdMs, createdMs + 1);
  clock.set(50_007);
  assertEquals(bus.put("foo", "c").createdMs, createdMs + 7);
});

Deno.test("MessageBus.put dates messages by the clock however many topics are made in one millisecond", () => {
  const clock = new TestClock();
  const bus = busWith({ clock });
  for (let i = 0; i < 1000; i++) bus.put(`topic${i}`, "hi");
  assertEquals(bus.put("topic999", "hi").createdMs, clock.now());
});

Deno.test("MessageBus.put and the rest refuse bad names with bad_topic and the server's with reserved", async () => {
  const bus = busWith();
  assertEquals(codeOf(() => bus.put("a//b", "hi")), "bad_topic");
  assertEquals(codeOf(() => bus.get("")), "bad_topic");
  assertEquals(codeOf(() => bus.topic("..")), "bad_topic");
  assertEquals(codeOf(() => bus.subscribe("a//*")), "bad_topic");
  assertEquals(await codeOfRejection(bus.pull("*")), "bad_topic");
  assertEquals(await codeOfRejection(bus.delete("?")), "bad_topic");
  assertEquals(codeOf(() => bus.put("cafe\u0301", "hi")), "not_nfc");
  assertEquals(codeOf(() => bus.put("a/-dead", "hi")), "reserved");
  assertEquals(codeOf(() => bus.put("metrics", "hi")), "reserved");
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.get and subscribe may read the server's names", () => {
  const bus = busWith();
  assertEquals(bus.get("a/-dead"), undefined);
  assertEquals(bus.subscribe("a/-dead").topic, "a/-dead");
});

Deno.test("MessageBus.close refuses everything from then on", async () => {
  const bus = busWith();
  bus.put("foo", "hi");
  await bus.close();
  assertEquals(codeOf(() => bus.put("foo", "hi")), "already_closed");
  assertEquals(codeOf(() => bus.get("foo")), "already_closed");
  assertEquals(codeOf(() => bus.subscribe("foo")), "already_closed");
  assertEquals(await codeOfRejection(bus.publish("foo", "hi")), "already_closed");
  assertEquals(await codeOfRejection(bus.pull("foo")), "already_closed");
  assertEquals(await codeOfRejection(bus.delete("foo")), "already_closed");
});

Deno.test("MessageBus.close twice does no more than once, and leaves no timer", async () => {
  const clock = new TestClock();
  const bus = busWith({ clock });
  bus.put("foo", "hi");
  assertEquals(clock.timers, 1);
  await bus.close();
  await bus.close();
  bus.drain();
  assertEquals(clock.timers, 0);
  clock.tick(1e9);
  assertEquals(clock.timers, 0);
});

Deno.test("MessageBus.drain lets publishing and pulling go on", async () => {
  const bus = busWith();
  bus.drain();
  bus.drain();
  assertEquals((await bus.publish("foo", "hi")).id, 0);
  assertEquals(bus.get("foo")?.id, 0);
  assertEquals(codeOf(() => bus.subscribe("foo")), "draining");
});
