import type { ScheduleOptions } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { MAX_DELAY_MS } from "../../lib/bus/delayed.ts";
import type { Observer } from "../../lib/bus/observer.ts";
import { BusError } from "../../lib/errors.ts";
import type { Append, DelayedMessage } from "../../lib/bus/store.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assert, assertEquals, assertLess, assertMatch, assertRejects, fc } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const told: string[] = [];
  const observer: Observer = {
    postponed: (topic, error) => told.push(`${topic}: ${(error as Error).message}`),
    dropped: ({ name }, id, reason) => told.push(`${name} ${id} ${reason}`),
  };
  const bus = new MessageBus({ clock, ttlMs: 0, observer, ...options });
  /** What has been published, oldest first, with when it was created, in milliseconds since now. */
  const startMs = clock.now();
  const published = async (topic = "t") =>
    ((await bus.browse(topic, { limit: 1000 }))?.messages ?? []).map((message) =>
      `${message.text()} at ${message.createdMs - startMs}`
    );
  const later = (payload: string, delayMs: number, topic = "t") => bus.schedule(topic, payload, { delayMs });
  return { bus, clock, startMs, told, published, later };
}

Deno.test("MessageBus.schedule hides a message until it is due, and publishes it then as if it were new", async () => {
  const { bus, clock, startMs, later } = setUp({ ttlMs: 60_000 });
  const subscription = bus.subscribe("t");
  const { token, ...receipt } = await later("a", 5000);
  assertEquals(receipt, { topic: "t", dueMs: startMs + 5000, durability: "memory" });
  assertMatch(token, /^[\w-]{22}$/);
  clock.tick(4999);
  assertEquals([bus.get("t"), subscription.take(), bus.topic("t")?.seq], [undefined, undefined, 0]);
  assertEquals(bus.totals().published, 0);
  clock.tick(1);
  const message = subscription.take()!;
  assertEquals([message.id, message.text(), message.createdMs - startMs], [0, "a", 5000]);
  assertEquals(message.expiresMs - startMs, 65_000);
  assertEquals(bus.get("t"), message);
  const { published, scheduled } = bus.totals();
  assertEquals([published, scheduled, bus.scheduled("t")], [1, 0, []]);
});

Deno.test("MessageBus.schedule at a time is the same, and one that has passed is now", async () => {
  const { bus, clock, startMs, published } = setUp();
  assertEquals((await bus.schedule("t", "later", { atMs: startMs + 100 })).dueMs, startMs + 100);
  assertEquals((await bus.schedule("t", "past", { atMs: startMs - 5000 })).dueMs, startMs - 5000);
  await bus.schedule("t", "now", { delayMs: 0 });
  assertEquals(await published(), ["past at 0", "now at 0"]);
  clock.tick(100);
  assertEquals(await published(), ["past at 0", "now at 0", "later at 100"]);
});

Deno.test("MessageBus.schedule publishes in the order of due times, then of the calls", async () => {
  const { clock, published, later } = setUp();
  for (const [payload, delayMs] of [["d", 200], ["a", 100], ["e", 200], ["b", 100], ["f", 200], ["c", 101]] as const) {
    await later(payload, delayMs);
    clock.tick(0);
  }
  clock.stall(300);
  assertEquals(await published(), ["a", "b", "c", "d", "e", "f"].map((payload) => `${payload} at 300`));
});

Deno.test("MessageBus.schedule is at most 20 ms late", async () => {
  const { clock, published, later } = setUp();
  await later("a", 5);
  for (let i = 1; i <= 10; i++) await later(`${i}`, 1000 + i);
  clock.tick(2000);
  const late = (await published()).slice(1).map((line) => {
    const [, payload, atMs] = /^(\d+) at (\d+)$/.exec(line)!.map(Number);
    return atMs! - 1000 - payload!;
  });
  assertEquals(late.length, 10);
  for (const ms of late) assert(ms >= 0 && ms <= 20, `${late}`);
  assertLess(Number((await published())[0]!.split(" ")[2]), 26);
});

Deno.test("MessageBus: nothing that is published later overtakes what is due, though its timer hasn't gone off", async () => {
  for (const publish of ["put", "publish", "request"] as const) {
    const { bus, clock, published, later } = setUp();
    await later("due", 10);
    clock.stall(11);
    if (publish === "put") bus.put("t", "new");
    else if (publish === "publish") await bus.publish("t", "new");
    else {
      const asked = bus.request("t", "new");
      bus.reply((await bus.browse("t"))!.messages[1]!.headers["msgbus-reply-to"]!, "");
      await asked;
    }
    assertEquals((await published()).map((line) => line.split(" ")[0]), ["due", "new"], publish);
  }
});

Deno.test("MessageBus: who reads a topic needn't wait for the timer", async () => {
  const reads: ((bus: MessageBus) => unknown)[] = [
    (bus) => bus.get("t"),
    (bus) => bus.pull("t"),
    (bus) => bus.pullBatch("t").then(({ messages }) => messages[0]),
    (bus) => bus.browse("t").then((page) => page?.messages[0]),
    (bus) => bus.browse("t", { waitMs: 1 }).then((page) => page?.messages[0]),
  ];
  for (const read of reads) {
    const { bus, clock, later } = setUp();
    await later("due", 10);
    clock.stall(10);
    assertEquals((await read(bus) as { text(): string }).text(), "due");
  }
});

Deno.test("MessageBus.schedule serves those who wait for a message", async () => {
  const { bus, clock, later } = setUp();
  await later("a", 1000);
  const pulled = bus.pull("t", { waitMs: 5000 });
  clock.tick(1000);
  clock.flush();
  assertEquals((await pulled)?.text(), "a");
});

Deno.test("MessageBus.schedule keeps what is said of the message, and its own time to live from then on", async () => {
  const { bus, clock, startMs } = setUp();
  const said = { contentType: "text/plain", headers: { A: "b" }, key: "k", ttlMs: 7000 };
  await bus.schedule("t", "a", { ...said, delayMs: 1000 });
  clock.tick(1000);
  const message = bus.get("t")!;
  assertEquals([message.contentType, { ...message.headers }, message.key], ["text/plain", { a: "b" }, "k"]);
  assertEquals(message.expiresMs - startMs, 8000);
});

Deno.test("MessageBus.scheduled lists what waits in the order in which it is due, with everything said of it", async () => {
  const { bus, clock, startMs, later } = setUp();
  const { token } = await bus.schedule("t", "b", { delayMs: 2000, ttlMs: 5, key: "k" });
  await later("c", 2000);
  await later("a", 1000);
  await later("other", 500, "u");
  assertEquals(bus.scheduled("/t").map(({ payload }) => new TextDecoder().decode(payload)), ["a", "b", "c"]);
  const [, b] = bus.scheduled("t");
  assertEquals(b, {
    topic: "t",
    token,
    dueMs: startMs + 2000,
    payload: new Uint8Array([98]),
    ttlMs: 5,
    attributes: b!.attributes,
  });
  assertEquals(b!.attributes?.key, "k");
  assertEquals([bus.totals().scheduled, bus.scheduled("nothing")], [4, []]);
  clock.tick(1000);
  assertEquals([bus.scheduled("t").length, bus.totals().scheduled], [2, 2]);
});

Deno.test("MessageBus.cancel takes a message back, once, and only from its topic", async () => {
  const { bus, clock, published, later } = setUp();
  const { token } = await later("a", 1000);
  await later("b", 1000);
  await later("c", 1000, "u");
  assertEquals(await bus.cancel("u", token), false);
  assertEquals(await bus.cancel("nothing", token), false);
  assertEquals(await bus.cancel("t", "guess"), false);
  assertEquals(await bus.cancel("/t/", token), true);
  assertEquals(await bus.cancel("t", token), false);
  clock.tick(1000);
  assertEquals(await published(), ["b at 1000"]);
});

Deno.test("MessageBus.cancel is too late when the message is due", async () => {
  const { bus, clock, published, later } = setUp();
  const { token } = await later("a", 1000);
  clock.stall(1000);
  assertEquals(await bus.cancel("t", token), false);
  assertEquals(await published(), ["a at 1000"]);
});

const BAD: readonly ScheduleOptions[] = [
  {},
  { delayMs: undefined },
  { delayMs: 1, atMs: 1 },
  { delayMs: -1 },
  { delayMs: 0.5 },
  { delayMs: NaN },
  { delayMs: Infinity },
  { delayMs: MAX_DELAY_MS + 1 },
  { delayMs: "5" as unknown as number },
  { atMs: -1 },
  { atMs: 1.5 },
  { atMs: 9e15 },
];

for (const options of BAD) {
  Deno.test(`MessageBus.schedule refuses ${JSON.stringify(options)}, and makes no topic`, async () => {
    const { bus } = setUp();
    assertEquals(await codeOfRejection(bus.schedule("t", "a", options)), "bad_option");
    assertEquals(bus.topics(), []);
  });
}

Deno.test("MessageBus.schedule refuses what publishing now would refuse, and makes no topic", async () => {
  const { bus, later } = setUp({ maxPayloadBytes: 3, maxTopicBytes: 1000, maxMemoryBytes: 2000 });
  assertEquals(await codeOfRejection(later("long", 1)), "too_large");
  assertEquals(await codeOfRejection(later("a", 1, "t//u")), "bad_topic");
  assertEquals(await codeOfRejection(later("a", 1, "t/-dead")), "reserved");
  const headers = { x: "y".repeat(1000) };
  assertEquals(await codeOfRejection(bus.schedule("t", "a", { headers, delayMs: 1 })), "topic_full");
  await assertRejects(() => bus.schedule("t", 5 as unknown as string, { delayMs: 1 }), TypeError);
  assertEquals(bus.topics(), []);
  await bus.close();
  assertEquals(await codeOfRejection(later("a", 1)), "already_closed");
});

Deno.test("MessageBus.schedule makes the topic, which isn't idle, and deleting it drops what waits", async () => {
  const { bus, clock, published, later } = setUp({ topicIdleMs: 1000 });
  await later("a", 60_000);
  clock.tick(30_000);
  assertEquals(bus.names(), ["t"]);
  const { cursor } = bus.topic("t")!;
  assertEquals(await bus.delete("t"), true);
  assertEquals([bus.names(), bus.totals().scheduled, bus.scheduled("t")], [[], 0, []]);
  bus.put("t", "b");
  clock.tick(60_000);
  assertEquals((await published()).length, 1);
  assert(bus.topic("t")!.cursor.split("@")[1] !== cursor.split("@")[1]);
});

Deno.test("MessageBus.schedule: a publish that is refused doesn't take the topic of what waits with it", async () => {
  const { bus, clock, published, later } = setUp();
  await later("a", 1000);
  assertEquals(codeOf(() => bus.put("t", "b", { ifMatch: { next: 9 } })), "seq_mismatch");
  clock.tick(1000);
  assertEquals(await published(), ["a at 1000"]);
});

Deno.test("MessageBus.schedule forgets an idle topic when nothing waits in it any more", async () => {
  const { bus, clock, later } = setUp({ topicIdleMs: 1000 });
  const { token } = await later("a", 60_000);
  await bus.cancel("t", token);
  clock.tick(2100);
  assertEquals(bus.names(), []);
});

Deno.test("MessageBus.schedule: the limits of a topic count what waits, and it finds its place when it is due", async () => {
  const { bus, clock, later, told } = setUp({ maxMessages: 3, discard: "new" });
  bus.put("t", "x");
  await later("a", 1000);
  await later("b", 1000);
  assertEquals(await codeOfRejection(later("c", 1)), "topic_full");
  assertEquals(codeOf(() => bus.put("t", "y")), "topic_full");
  clock.tick(1000);
  assertEquals([bus.topic("t")!.length, told], [3, []]);
  assertEquals(["x", "a", "b"].map(() => bus.get("t")!.text()), ["x", "a", "b"]);
});

Deno.test("MessageBus.schedule: with discard old what waits drops the oldest, and is never dropped itself", async () => {
  const { bus, clock, later, told } = setUp({ maxMessages: 3 });
  for (const payload of ["x", "y", "z"]) bus.put("t", payload);
  await later("a", 1000);
  await later("b", 1000);
  assertEquals([told, bus.topic("t")!.length], [["t 0 limit", "t 1 limit"], 1]);
  bus.put("t", "n");
  await later("c", 1000);
  assertEquals([codeOf(() => bus.put("t", "full")), bus.topic("t")!.length], ["topic_full", 0]);
  clock.tick(1000);
  assertEquals(["a", "b", "c"].map(() => bus.get("t")!.text()), ["a", "b", "c"]);
  bus.put("t", "fits again");
});

Deno.test("MessageBus.schedule: max-memory counts what waits in all topics, until it is cancelled or deleted", async () => {
  const { bus, later, told } = setUp({ maxMemoryBytes: 1500 });
  bus.put("u", "old");
  const { token } = await later("a".repeat(300), 1000);
  assertEquals(told, []);
  await later("a".repeat(150), 1000, "v");
  assertEquals(told, ["u 0 limit"]);
  assertEquals(await codeOfRejection(later("a".repeat(150), 1000, "w")), "overloaded");
  assertEquals(codeOf(() => bus.put("w", "a".repeat(150))), "overloaded");
  assertEquals(await bus.cancel("t", token), true);
  bus.put("w", "a".repeat(150));
  await bus.delete("v");
  bus.put("w", "a".repeat(300));
  assertEquals(told, ["u 0 limit"]);
});

/** How long the longest payload is that a bus without anything in it takes. */
function roomOf(bus: MessageBus): number {
  let [fits, over] = [0, 8192];
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2);
    try {
      bus.put("x", new Uint8Array(middle), { ifMatch: { next: 0 } });
      fits = middle;
    } catch (error) {
      if ((error as { code?: string }).code !== "overloaded") throw error;
      over = middle;
    }
    bus.delete("x");
  }
  return fits;
}

Deno.test("MessageBus.schedule: what was counted is given back to the byte, whatever became of the messages", async () => {
  const options = { maxMemoryBytes: 8000, maxPayloadBytes: 8000 };
  const room = roomOf(setUp(options).bus);
  assert(room > 5000);
  const fate = fc.constantFrom("due", "cancelled", "deleted");
  const message = fc.record({ bytes: fc.nat(200), delayMs: fc.nat(100), fate, topic: fc.constantFrom("t", "u", "v") });
  await fc.assert(fc.asyncProperty(fc.array(message, { maxLength: 12 }), async (messages) => {
    const { bus, clock } = setUp(options);
    for (const { bytes, delayMs, fate, topic } of messages) {
      const { token } = await bus.schedule(topic, new Uint8Array(bytes), { delayMs });
      if (fate === "cancelled") await bus.cancel(topic, token);
      if (fate === "deleted") await bus.delete(topic);
    }
    clock.tick(200);
    assertEquals(bus.totals().scheduled, 0);
    for (const name of bus.names()) await bus.delete(name);
    assertEquals(roomOf(bus), room);
  }));
});

Deno.test("MessageBus.schedule with a key answers a repeat as the first, and schedules nothing", async () => {
  const { bus, clock, published } = setUp();
  const options = { idempotencyKey: "k", delayMs: 1000 };
  const first = await bus.schedule("t", "a", options);
  clock.tick(10);
  assertEquals(await bus.schedule("t", "a", options), { ...first, duplicate: true });
  assertEquals(await codeOfRejection(bus.schedule("t", "b", options)), "idempotency_conflict");
  assertEquals(await codeOfRejection(bus.publish("t", "a", { idempotencyKey: "k" })), "idempotency_conflict");
  clock.tick(1000);
  assertEquals(await bus.schedule("t", "a", options), { ...first, duplicate: true });
  assertEquals(await published(), ["a at 1000"]);
});

Deno.test("MessageBus.schedule: with the clock set back, created never goes back either", async () => {
  const { bus, clock, later } = setUp();
  await later("a", 1000);
  clock.tick(500);
  bus.put("t", "b");
  clock.set(-50_000);
  clock.tick(500);
  const messages = (await bus.browse("t"))!.messages;
  assertEquals(messages.map((message) => message.text()), ["b", "a"]);
  assert(messages[1]!.createdMs >= messages[0]!.createdMs);
});

Deno.test("MessageBus.schedule: thousands that are due at once come in order, a few thousand a turn", async () => {
  const { bus, clock, later } = setUp();
  const count = 12_000;
  for (let i = 0; i < count; i++) await later(`${i}`, 1000, i % 2 === 0 ? "t" : "u");
  clock.tick(1000);
  const { published, scheduled } = bus.totals();
  assertEquals([published, scheduled], [5000, 7000]);
  clock.tick(40);
  assertEquals([bus.totals().published, bus.totals().scheduled, clock.timers], [count, 0, 1]);
  for (const [topic, first] of [["t", 0], ["u", 1]] as const) {
    for (let i = first; i < count; i += 2) assertEquals(bus.get(topic)!.text(), `${i}`);
  }
});

Deno.test("MessageBus.close publishes nothing any more, and leaves no timer", async () => {
  const { bus, clock, later } = setUp();
  await later("a", 1000);
  await bus.close();
  assertEquals(clock.timers, 0);
  clock.tick(2000);
  assertEquals(bus.totals().published, 0);
});

Deno.test("Store.delay is told of the message, and Store.append of the token in the same step", () => {
  const asked: string[] = [];
  class Witness extends MemoryStore {
    override delay({ topic, dueMs, ttlMs, attributes }: Partial<DelayedMessage> = {}): void {
      asked.push(`delay ${topic!.name} ${dueMs! - startMs} ${ttlMs} ${attributes?.key}`);
    }
    override append(append: Append): number {
      asked.push(`append ${append.payloads.length} ${append.scheduled === undefined ? "new" : "scheduled"}`);
      return super.append(append);
    }
    override cancel(): void {
      asked.push("cancel");
    }
  }
  const { bus, clock, startMs } = setUp({ store: new Witness() });
  bus.schedule("t", "a", { delayMs: 10, ttlMs: 5, key: "k" });
  bus.put("t", "b");
  clock.tick(20);
  assertEquals(asked, ["delay t 10 5 k", "append 1 new", "append 1 scheduled"]);
});

/** With a store that answers when the test says so. */
function setUpLater(options: BusOptions = {}) {
  const store = new LaterStore();
  return { store, ...setUp({ store, ...options }) };
}

Deno.test("MessageBus.schedule resolves when the store has the message, and not before is it listed or published", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  const receipt = later("a", 1000);
  assertEquals([store.waiting, bus.scheduled("t"), bus.totals().scheduled], [["delay for t"], [], 0]);
  clock.tick(2000);
  assertEquals(store.waiting, ["delay for t"]);
  await store.answer();
  assertEquals((await receipt).durability, "synced");
  assertEquals(store.waiting, ["append 1 to t"]);
  assertEquals([bus.scheduled("t").length, await published()], [1, []]);
  await store.answer();
  assertEquals([bus.scheduled("t"), await published(), store.delayed], [[], ["a at 2000"], []]);
});

Deno.test("MessageBus.schedule that the store refuses has not happened, and leaves no topic behind", async () => {
  const { bus, clock, store, later } = setUpLater({ maxMessages: 1, discard: "new" });
  const refused = assertRejects(() => later("a", 1000), Error, "the disk is full");
  assertEquals(await codeOfRejection(later("b", 1000)), "topic_full");
  await store.refuse();
  await refused;
  assertEquals([bus.topics(), bus.totals().scheduled], [[], 0]);
  const receipt = later("c", 1000);
  await store.answer();
  await receipt;
  clock.tick(1000);
  assertEquals(store.waiting, ["append 1 to t"]);
});

Deno.test("MessageBus.schedule: of two first ones, a refused one leaves the other's topic", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  const [refused, kept] = [later("a", 1000).catch(() => {}), later("b", 1000)];
  await store.refuse();
  await refused;
  await store.answer();
  await kept;
  clock.tick(1000);
  await store.answer();
  assertEquals([bus.names(), await published()], [["t"], ["b at 1000"]]);
});

Deno.test("MessageBus.schedule: what the store refuses when it is due is not lost, and tried again every second", async () => {
  const { bus, clock, store, published, later, told } = setUpLater();
  for (const payload of ["a", "b"]) {
    const receipt = later(payload, 1000);
    await store.answer();
    await receipt;
  }
  clock.tick(1000);
  for (let second = 1; second < 4; second++) {
    assertEquals(store.waiting, ["append 1 to t", "append 1 to t"]);
    await store.refuse();
    await store.refuse();
    assertEquals([await published(), bus.scheduled("t").length, bus.totals().scheduled], [[], 2, 2]);
    clock.tick(999);
    assertEquals(store.waiting, []);
    clock.tick(1);
  }
  await store.answerAll();
  assertEquals([await published(), told.length, told[0]], [["a at 4000", "b at 4000"], 6, "t: the disk is full"]);
  assertEquals([bus.totals().scheduled, store.delayed], [0, []]);
});

Deno.test("MessageBus.schedule: a synchronous store that refuses what is due is asked again, and order stays", async () => {
  class FullStore extends MemoryStore {
    full = false;
    override append(append: Append): number {
      if (this.full) throw new Error("the disk is full");
      return super.append(append);
    }
  }
  const store = new FullStore();
  const { bus, clock, published, later, told } = setUp({ store });
  await later("a", 1000);
  await later("b", 1000);
  await later("c", 1500);
  store.full = true;
  clock.tick(1600);
  assertEquals([await published(), told], [[], ["t: the disk is full"]]);
  store.full = false;
  clock.tick(400);
  assertEquals(await published(), ["a at 2000", "b at 2000", "c at 2000"]);
  assertEquals(bus.totals().scheduled, 0);
});

Deno.test("MessageBus.cancel takes effect at once, and resolves when the store has answered", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  const receipt = later("a", 1000);
  await store.answer();
  const cancelled = bus.cancel("t", (await receipt).token);
  const again = bus.cancel("t", (await receipt).token);
  clock.tick(2000);
  assertEquals(store.waiting, ["cancel for t"]);
  await store.answer();
  assertEquals([await cancelled, await again, await published(), store.delayed], [true, false, [], []]);
});

Deno.test("MessageBus.cancel that the store refuses has not happened: the message is published when it is due", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  const receipt = later("a", 1000);
  await store.answer();
  const refused = assertRejects(async () => bus.cancel("t", (await receipt).token), Error, "the disk is full");
  await receipt;
  await Promise.resolve();
  clock.tick(2000);
  await store.refuse();
  await refused;
  assertEquals(store.waiting, []);
  clock.tick(20);
  assertEquals([store.waiting, bus.scheduled("t").length], [["append 1 to t"], 1]);
  await store.answer();
  assertEquals(await published(), ["a at 2020"]);
});

Deno.test("MessageBus.cancel of a message that is being published waits for what becomes of it", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  for (const stored of [true, false]) {
    const receipt = later("a", 1000);
    await store.answer();
    const { token } = await receipt;
    clock.tick(1000);
    const cancelled = bus.cancel("t", token);
    assertEquals(store.waiting, ["append 1 to t"]);
    if (stored) await store.answer();
    else {
      await store.refuse();
      assertEquals(store.waiting, ["cancel for t"]);
      await store.answer();
    }
    assertEquals(await cancelled, !stored);
  }
  clock.tick(5000);
  assertEquals([(await published()).length, bus.totals().scheduled, store.delayed], [1, 0, []]);
});

Deno.test("MessageBus.cancel while the topic is being deleted waits for what becomes of that", async () => {
  for (const isDeleted of [true, false]) {
    const { bus, clock, store, later } = setUpLater();
    const receipt = later("a", 1000);
    await store.answer();
    const { token } = await receipt;
    clock.tick(1000);
    // The cancellation waits for the publishing first, and that ends while the topic is being deleted.
    const cancelled = bus.cancel("t", token);
    const deleted = bus.delete("t").catch(() => false);
    await store.refuse();
    assertEquals(store.waiting, ["remove t"]);
    if (isDeleted) await store.answer();
    else {
      await store.refuse();
      assertEquals(store.waiting, ["cancel for t"]);
      await store.answer();
    }
    assertEquals([await deleted, await cancelled, bus.totals().scheduled], [isDeleted, !isDeleted, 0]);
  }
});

Deno.test("MessageBus.delete while a message is on its way to be kept drops it, too, and gives back what it counted", async () => {
  const { bus, clock, store, later } = setUpLater({ maxMemoryBytes: 600 });
  const receipt = later("a".repeat(100), 1000);
  const deleted = bus.delete("t");
  assertEquals(store.waiting, ["delay for t", "remove t"]);
  await store.answerAll();
  assertEquals([(await receipt).topic, await deleted], ["t", true]);
  assertEquals([bus.totals().scheduled, store.delayed, bus.names()], [0, [], []]);
  clock.tick(2000);
  assertEquals(store.waiting, []);
  const next = later("a".repeat(100), 1000, "u");
  await store.answer();
  await next;
});

Deno.test("MessageBus.delete while a message is being published ends in nothing, stored or not", async () => {
  for (const stored of [true, false]) {
    const { bus, clock, store, later } = setUpLater();
    const receipt = later("a", 1000);
    await store.answer();
    await receipt;
    clock.tick(1000);
    const deleted = bus.delete("t");
    assertEquals(store.waiting, ["append 1 to t", "remove t"]);
    if (stored) await store.answer();
    else await store.refuse();
    await store.answer();
    assertEquals(await deleted, true);
    clock.tick(5000);
    const { scheduled, messages, bytes } = bus.totals();
    assertEquals([scheduled, messages, bytes, store.waiting, store.delayed], [0, 0, 0, [], []]);
  }
});

Deno.test("MessageBus.delete that the store refuses leaves what waits, which is published a little late", async () => {
  const { bus, clock, store, published, later } = setUpLater();
  const receipt = later("a", 1000);
  await store.answer();
  await receipt;
  const refused = assertRejects(() => bus.delete("t"), Error, "the disk is full");
  clock.tick(1500);
  assertEquals(store.waiting, ["remove t"]);
  await store.refuse();
  await refused;
  clock.tick(1000);
  await store.answer();
  assertEquals(await published(), ["a at 2000"]);
});

Deno.test("MessageBus.schedule to a topic that is being deleted waits, and is for the next one", async () => {
  const { bus, store, later } = setUpLater();
  const first = later("a", 1000);
  await store.answer();
  await first;
  const deleted = bus.delete("t");
  const second = later("b", 1000);
  assertEquals(store.waiting, ["remove t"]);
  await store.answer();
  assertEquals([await deleted, store.waiting], [true, ["delay for t"]]);
  await store.answer();
  await second;
  assertEquals([bus.scheduled("t").length, store.delayed], [1, ["b"]]);
});

type Step =
  | { readonly do: "schedule"; readonly topic: string; readonly delayMs: number }
  | { readonly do: "publish" | "delete"; readonly topic: string }
  | { readonly do: "cancel"; readonly nth: number }
  | { readonly do: "tick" | "stall"; readonly ms: number }
  | { readonly do: "answer" | "refuse"; readonly nth: number };

const topicArbitrary = fc.constantFrom("t", "u");
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("schedule" as const), topic: topicArbitrary, delayMs: fc.nat(60) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("publish" as const), topic: topicArbitrary }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), topic: topicArbitrary }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), nth: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("tick" as const, "stall" as const), ms: fc.nat(50) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("answer" as const), nth: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse" as const), nth: fc.nat(9) }) },
);

Deno.test("MessageBus.schedule over a store that answers later and refuses: each message is published once, or taken back, or deleted", async () => {
  const options = fc.record({
    maxMessages: fc.constantFrom(3, 8, 100),
    maxMemoryBytes: fc.constantFrom(1500, 100_000),
    discard: fc.constantFrom("old" as const, "new" as const),
  });
  await fc.assert(
    fc.asyncProperty(options, fc.array(stepArbitrary, { maxLength: 80, size: "max" }), async (limits, steps) => {
      const store = new LaterStore();
      const clock = new TestClock();
      const published: { text: string; topic: string; createdMs: number }[] = [];
      const bus = new MessageBus({
        store,
        clock,
        ttlMs: 0,
        ...limits,
        observer: {
          published: (message) =>
            void published.push({ text: message.text(), topic: message.topic.name, createdMs: message.createdMs }),
        },
      });
      const acknowledged: { topic: string; token: string; text: string; dueMs: number }[] = [];
      const takenBack = new Set<string>();
      const deleted = new Set<string>();
      const unexpected: unknown[] = [];
      const refused = (error: Error) => {
        if (!(error instanceof BusError) && error.message !== "the disk is full") unexpected.push(error);
      };
      let count = 0;
      const run = (step: Step): void => {
        switch (step.do) {
          case "schedule": {
            const text = `${count++}`;
            bus.schedule(step.topic, text, { delayMs: step.delayMs })
              .then(({ topic, token, dueMs }) => void acknowledged.push({ topic, token, dueMs, text }), refused);
            break;
          }
          case "publish":
            bus.publish(step.topic, `p${count++}`).catch(refused);
            break;
          case "delete": {
            // What was acknowledged until it is gone may go with it.
            bus.delete(step.topic).then((was) => {
              if (was) { for (const each of acknowledged) if (each.topic === step.topic) deleted.add(each.text); }
            }, refused);
            break;
          }
          case "cancel": {
            const each = acknowledged[step.nth];
            if (each === undefined) break;
            bus.cancel(each.topic, each.token).then((was) => void (was && takenBack.add(each.text)), refused);
            break;
          }
          case "tick":
            clock.tick(step.ms);
            break;
          case "stall":
            clock.stall(step.ms);
            break;
          case "answer":
            store.answerOne(step.nth);
            break;
          case "refuse":
            store.refuseOne(step.nth);
        }
      };
      for (const step of steps) {
        run(step);
        for (let i = 0; i < 20; i++) await undefined;
        const { bytes, scheduledBytes } = bus.totals();
        // With discard old, room for what is on its way to the store is made when it is there.
        assert(bytes + (limits.discard === "new" ? scheduledBytes : 0) <= limits.maxMemoryBytes);
        for (const { name, length } of bus.topics()) {
          // Room for what is on its way to the log is made when it gets there.
          const onTheirWay = store.waiting.filter((question) => question === `append 1 to ${name}`).length;
          assert(
            length + bus.scheduled(name).length - onTheirWay <= limits.maxMessages,
            "a topic has more than it may",
          );
        }
      }
      // Everything comes to an end.
      for (let i = 0; i < 200 && (store.waiting.length > 0 || bus.totals().scheduled > 0); i++) {
        clock.tick(1000);
        while (store.answerOne(0)) for (let i = 0; i < 20; i++) await undefined;
      }
      const { scheduled, scheduledBytes } = bus.totals();
      assertEquals([scheduled, scheduledBytes, store.waiting, store.delayed, unexpected], [0, 0, [], [], []]);
      for (const { topic, text, dueMs } of acknowledged) {
        const times = published.filter((each) => each.text === text);
        assert(times.length <= 1, `${text} was published twice`);
        if (takenBack.has(text)) assertEquals(times, [], `${text} was taken back`);
        else if (!deleted.has(text)) assertEquals(times.map((each) => each.topic), [topic], `${text} is lost`);
        for (const { createdMs } of times) assert(createdMs >= dueMs, `${text} was early`);
      }
    }),
    { numRuns: 1000 },
  );
});
