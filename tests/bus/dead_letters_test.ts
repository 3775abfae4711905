import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { DEAD_TTL_MS, deadTopicOf } from "../../lib/bus/dead_letters.ts";
import type { Append, GroupChange, Store } from "../../lib/bus/store.ts";
import type { TopicInfo } from "../../lib/message.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assertEquals } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 0, maxAttempts: 2, ...options });
  /** Leases and hands back so often that the message becomes a dead letter. */
  const kill = async (topic = "t", { group = "g", reason = "exit 1", times = 2 } = {}) => {
    for (let i = 0; i < times; i++) {
      const { lease = "" } = bus.get(topic, { group, leaseMs: 1000 })!;
      await bus.nack(lease, { reason });
    }
  };
  const dead = async (topic = "t") =>
    (await bus.browse(`${topic}/-dead`))?.messages.map((message) => message.text()) ?? [];
  return { clock, bus, kill, dead };
}

/** The same over a store that answers when a test says so, with a topic `t` of one message that has one attempt. */
async function setUpLater(store: LaterStore, options: BusOptions = {}) {
  const { bus, clock } = setUp({ store, maxAttempts: 1, ...options });
  const published = bus.publish("t", "a");
  await store.answer();
  await published;
  const lease = async (leaseMs = 1000) => {
    const pulled = bus.pull("t", { group: "g", leaseMs });
    await store.answer();
    return (await pulled)!;
  };
  return { bus, clock, lease };
}

Deno.test("a message that is handed back as often as allowed moves to the dead letters, with its story", async () => {
  const { bus, clock, kill } = setUp();
  const { createdMs, topic } = bus.put("t", "a", { contentType: "text/plain", key: "k", headers: { trace: "7" } });
  bus.put("t", "b");
  clock.tick(500);
  await kill("t", { reason: "exit 3" });
  assertEquals(bus.get("t", { group: "g" })?.text(), "b");
  const letter = (await bus.browse("t/-dead"))!.messages[0]!;
  const { contentType, key } = letter;
  assertEquals({ contentType, key, text: letter.text() }, { contentType: "text/plain", key: "k", text: "a" });
  assertEquals({ ...letter.headers }, {
    trace: "7",
    "msgbus-dead-topic": "t",
    "msgbus-dead-id": "0",
    "msgbus-dead-epoch": topic.epoch,
    "msgbus-dead-group": "g",
    "msgbus-dead-attempts": "2",
    "msgbus-dead-reason": "exit 3",
    "msgbus-dead-created": new Date(createdMs).toISOString(),
  });
  assertEquals([letter.topic.ttlMs, letter.createdMs], [DEAD_TTL_MS, createdMs + 500]);
  assertEquals([bus.totals().dead, bus.groups("t")[1]?.dead], [1, 1]);
});

Deno.test("a message whose last lease ends becomes a dead letter then, though nobody asks", async () => {
  const { bus, clock, dead } = setUp({ maxAttempts: 1 });
  bus.put("t", "a");
  const { lease = "" } = bus.get("t", { leaseMs: 1000 })!;
  clock.tick(999);
  assertEquals(await dead(), []);
  clock.tick(21);
  clock.flush();
  assertEquals([await dead(), (await bus.browse("t/-dead"))?.messages[0]?.headers["msgbus-dead-reason"]], [
    ["a"],
    "lease expired",
  ]);
  assertEquals(bus.groups("t")[0]?.cursor, (await bus.browse("t"))?.next);
  assertEquals(bus.totals().leased, 0);
  void lease;
});

Deno.test("the ack of a message that has become a dead letter is unknown", async () => {
  const { bus, clock } = setUp({ maxAttempts: 1 });
  bus.put("t", "a");
  const { lease = "" } = bus.get("t", { leaseMs: 1000 })!;
  clock.stall(1000);
  assertEquals(await bus.ack(lease), { done: [], unknown: [lease] });
});

Deno.test("a message that expires after its last lease has ended is a dead letter, not lost, though nobody looked", async () => {
  const { bus, clock, dead } = setUp({ maxAttempts: 1 });
  bus.put("t", "a", { ttlMs: 1001 });
  bus.put("u", "b", { ttlMs: 1000 });
  for (const topic of ["t", "u"]) bus.get(topic, { leaseMs: 1000 });
  clock.stall(5000);
  bus.groups("t");
  bus.groups("u");
  clock.flush();
  assertEquals([await dead("t"), await dead("u"), bus.groups("t")[0]?.lost, bus.groups("u")[0]?.lost], [
    ["a"],
    [],
    0,
    1,
  ]);
});

Deno.test("maxAttempts 0 hands out without end, and dead letters have no dead letters", async () => {
  const endless = setUp({ maxAttempts: 0 });
  endless.bus.put("t", "a");
  await endless.kill("t", { times: 20 });
  assertEquals([endless.bus.get("t", { group: "g", leaseMs: 1000 })?.attempt, endless.bus.names()], [21, ["t"]]);
  const { bus, kill } = setUp();
  bus.put("t", "a");
  await kill();
  await kill("t/-dead", { times: 20 });
  assertEquals([bus.get("t/-dead", { group: "g", leaseMs: 1000 })?.attempt, bus.names()], [21, ["t", "t/-dead"]]);
});

Deno.test("deadTopicOf has no name for dead letters, nor where there is no room for one", () => {
  assertEquals([deadTopicOf("a"), deadTopicOf("a/b")], ["a/-dead", "a/b/-dead"]);
  assertEquals([deadTopicOf("a/-dead"), deadTopicOf("x".repeat(507)), deadTopicOf(Array(16).fill("x").join("/"))], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(deadTopicOf("x".repeat(506))?.length, 512);
});

Deno.test("nobody publishes dead letters but the server", async () => {
  const { bus, kill } = setUp();
  assertEquals(codeOf(() => bus.put("t/-dead", "x")), "reserved");
  bus.put("t", "a");
  await kill();
  assertEquals(codeOf(() => bus.put("t/-dead", "x")), "reserved");
  assertEquals(await codeOfRejection(bus.publish("/t/-dead/", "x")), "reserved");
});

Deno.test("a dead letter that can't be kept is not lost: that is tried again", async () => {
  const { bus, clock, kill, dead } = setUp({ maxTopics: 2 });
  bus.put("other", "x");
  bus.put("t", "a");
  await kill();
  assertEquals([await dead(), bus.groups("t")[1]?.waiting, bus.groups("t")[1]?.attempts], [[], 1, 2]);
  assertEquals(bus.get("t", { group: "g" }), undefined);
  await bus.delete("other");
  clock.tick(1020);
  assertEquals([await dead(), bus.groups("t")[1]?.waiting], [["a"], 0]);
});

Deno.test("a dead letter and what its group is done with are one step of the store, which knows the reason before", async () => {
  const store = new LaterStore();
  const { bus } = setUp({ store, maxAttempts: 1 });
  const published = bus.publish("t", "a");
  await store.answer();
  await published;
  const pulled = bus.pull("t", { group: "g", leaseMs: 1000 });
  await store.answer();
  const nacked = bus.nack((await pulled)!.lease!);
  assertEquals(store.waiting, ["advance t g to 1, 0 has 1", "append 1 to t/-dead, g of t has 0 done"]);
  assertEquals((await bus.browse("t/-dead"))?.messages.length, 0);
  await store.answer();
  await nacked;
  await store.refuse();
  assertEquals([bus.groups("t")[1]?.waiting, bus.topic("t/-dead")], [1, undefined]);
});

Deno.test("before a dead letter the store is told of messages that were passed over, which its group is not done with", async () => {
  const changes: GroupChange[] = [];
  const store: Store = Object.assign(new MemoryStore(), {
    append: ({ expectedId, settles }: Append) => {
      if (settles !== undefined) changes.push(settles.change);
      return expectedId;
    },
    note: (_: TopicInfo, change: GroupChange) => void changes.push(change),
  });
  const { bus, clock } = setUp({ store, maxAttempts: 1 });
  bus.put("t", "a", { key: "k" });
  bus.get("t", { leaseMs: 1000 });
  const pulled = bus.pull("t", { leaseMs: 1000, waitMs: 60_000 });
  bus.put("t", "b", { key: "k" });
  // It passes over b, and takes nothing.
  clock.flush();
  clock.tick(1020);
  clock.flush();
  assertEquals((await pulled)?.text(), "b");
  const [, before, letter] = changes;
  const passed = { id: 1, attempt: 0, notBeforeMs: undefined, key: "k", reason: undefined };
  assertEquals(before, { group: "", next: 2, unacked: [passed], done: [], counts: { acked: 0, dead: 0, lost: 0 } });
  assertEquals(letter, { group: "", next: 2, unacked: [], done: [0], counts: { acked: 0, dead: 1, lost: 0 } });
});

Deno.test("a dead letter that the store refuses when its group is gone is not tried again, nor is the group", async () => {
  const store = new LaterStore();
  const { bus, clock, lease } = await setUpLater(store, { groupIdleMs: 10_000 });
  await lease();
  clock.tick(1020);
  assertEquals(store.waiting, ["append 1 to t/-dead, g of t has 0 done"]);
  const deleted = bus.deleteGroup("t", "g");
  await store.refuse();
  await store.answer();
  assertEquals(await deleted, true);
  clock.tick(1020);
  assertEquals(store.waiting, []);
  // Another one of its name is another group: it is not forgotten when the first would have been.
  const again = await lease(20_000);
  clock.tick(6000);
  const extended = bus.extend(again.lease!);
  await store.answerAll();
  await extended;
  clock.tick(6000);
  assertEquals(bus.groups("t").map(({ group }) => group), ["", "g"]);
});

Deno.test("a dead letter of a topic that is being removed waits for that", async () => {
  const store = new LaterStore();
  const { bus, clock, lease } = await setUpLater(store);
  await lease();
  const deleted = bus.delete("t").catch((error) => error.message);
  clock.tick(1020);
  assertEquals(store.waiting, ["remove t"]);
  await store.refuse();
  assertEquals(await deleted, "the disk is full");
  clock.tick(1020);
  assertEquals(store.waiting, ["append 1 to t/-dead, g of t has 0 done"]);
});

Deno.test("MessageBus.close asks the store for the dead letters that are to be made, and then closes it", async () => {
  const asked: string[] = [];
  const store: Store = Object.assign(new MemoryStore(), {
    append: ({ topic: { name }, expectedId }: Append) => {
      asked.push(`append to ${name}`);
      return expectedId;
    },
    close: () => void asked.push("close"),
  });
  const { bus, clock } = setUp({ store, maxAttempts: 1, maxMessages: 1 });
  bus.put("t", "a");
  bus.get("t", { leaseMs: 1000 });
  clock.stall(1001);
  bus.put("t", "b");
  await bus.close();
  clock.flush();
  assertEquals(asked, ["append to t", "append to t", "append to t/-dead", "close"]);
});

Deno.test("a dead letter keeps the memory of no message but its own", async () => {
  const { bus, kill } = setUp();
  for (let i = 0; i < 1000; i++) bus.put("t", "x".repeat(100));
  await kill();
  assertEquals((await bus.browse("t/-dead"))?.messages[0]?.payload.buffer.byteLength, 100);
});

Deno.test("MessageBus.redrive publishes dead letters to their topic again, and they leave theirs", async () => {
  const { bus, kill, dead } = setUp({ maxAttempts: 1 });
  bus.put("t", "a", { contentType: "text/plain", key: "k", headers: { trace: "7" } });
  bus.put("t", "b");
  await kill("t", { times: 2 });
  const seen: (string | undefined)[] = [];
  bus.subscribe("t", {
    onReady: (subscription) => seen.push(subscription.take()?.text(), subscription.take()?.text()),
  });
  assertEquals([await dead(), await bus.redrive("t")], [["a", "b"], { redriven: 2, remaining: 0 }]);
  assertEquals([await dead(), bus.topic("t/-dead")?.length, bus.totals().redriven], [[], 0, 2]);
  const [a, b] = (await bus.browse("t", { since: { next: 2 } }))!.messages;
  assertEquals([a?.text(), a?.key, a?.contentType, { ...a?.headers }], ["a", "k", "text/plain", { trace: "7" }]);
  assertEquals([b?.text(), b?.attributes, bus.get("t", { group: "g", leaseMs: 1000 })?.attempt], ["b", undefined, 1]);
  assertEquals(await bus.redrive("t"), { redriven: 0, remaining: 0 });
  assertEquals([await bus.redrive("missing"), await bus.redrive("t/-dead")], [undefined, {
    redriven: 0,
    remaining: 0,
  }]);
});

Deno.test("MessageBus.redrive keeps a message as long as it was to be kept at first", async () => {
  const { bus, kill } = setUp({ maxAttempts: 1, ttlMs: 60_000 });
  for (const ttlMs of [0, 3_600_000, undefined]) bus.put("t", "a", { ttlMs });
  await kill("t", { times: 3 });
  const dead = (await bus.browse("t/-dead"))!.messages;
  assertEquals(dead.map(({ headers }) => headers["msgbus-dead-ttl"]), ["0s", "1h", undefined]);
  assertEquals(dead.map(({ ttlMs }) => ttlMs), [DEAD_TTL_MS, DEAD_TTL_MS, DEAD_TTL_MS]);
  await bus.redrive("t");
  assertEquals((await bus.browse("t", { since: { next: 3 } }))?.messages.map(({ ttlMs }) => ttlMs), [
    0,
    3_600_000,
    60_000,
  ]);
});

Deno.test("MessageBus.redrive takes those of one group only, if it is told to", async () => {
  const { bus, kill, dead } = setUp({ maxAttempts: 1 });
  bus.put("t", "a");
  for (const group of ["g", "h", ""]) await kill("t", { group, times: 1 });
  assertEquals([(await dead()).length, await bus.redrive("t", { group: "h" })], [3, { redriven: 1, remaining: 0 }]);
  assertEquals([await bus.redrive("t", { group: "" }), await bus.redrive("t", { group: "" })], [
    { redriven: 1, remaining: 0 },
    { redriven: 0, remaining: 0 },
  ]);
  assertEquals((await bus.browse("t/-dead"))?.messages.map(({ headers }) => headers["msgbus-dead-group"]), ["g"]);
});

Deno.test("MessageBus.redrive tells a reader of dead letters what is gone", async () => {
  const { bus, kill } = setUp({ maxAttempts: 1 });
  for (const payload of ["a", "b", "c"]) bus.put("t", payload);
  await kill("t", { group: "h", times: 1 });
  await kill("t", { group: "g", times: 2 });
  await bus.redrive("t", { group: "h" });
  const { messages, gap } = await bus.pullBatch("t/-dead");
  assertEquals([messages.map(({ id }) => id), gap], [[1, 2], { topic: "t/-dead", from: 0, to: 0, reason: "expired" }]);
});

Deno.test("MessageBus.redrive stops when the topic takes no more, and fails if it takes none", async () => {
  const { bus, kill, dead } = setUp({ maxAttempts: 1, discard: "new", maxMessages: 3 });
  for (const payload of ["a", "b", "c"]) bus.put("t", payload);
  await kill("t", { times: 3 });
  for (const payload of ["d", "e"]) bus.put("t", payload);
  assertEquals([await bus.redrive("t"), await dead()], [{ redriven: 1, remaining: 2 }, ["b", "c"]]);
  assertEquals([await codeOfRejection(bus.redrive("t")), await dead()], ["topic_full", ["b", "c"]]);
});

Deno.test("MessageBus.redrive asks the store for one step each, and twice at once publishes each once", async () => {
  const store = new LaterStore({ prompt: true });
  const { bus } = setUp({ store, maxAttempts: 1 });
  await bus.publish("t", ["a", "b"]);
  const { messages } = await bus.pullBatch("t", { group: "g", leaseMs: 1000 });
  await bus.nack(messages.map((message) => message.lease!));
  for (let i = 0; i < 20; i++) await undefined;
  const [one, two] = await Promise.all([bus.redrive("t"), bus.redrive("t")]);
  assertEquals([one!.redriven + two!.redriven, bus.topic("t")?.seq, bus.topic("t/-dead")?.length], [2, 4, 0]);
});

/** A bus with so many dead letters of `t`, their texts their numbers, and its store, which answers when it is told to. */
async function setUpLetters(count: number, options: BusOptions = {}) {
  const store = new LaterStore({ prompt: true });
  const { bus } = setUp({ store, maxAttempts: 1, ...options });
  for (let i = 0; i < count; i++) {
    await bus.publish("t", String(i));
    await bus.nack((await bus.pull("t", { leaseMs: 1000 }))!.lease!);
  }
  await settled();
  store.prompt = false;
  const textsOf = async (topic: string) => (await bus.browse(topic))!.messages.map((message) => message.text());
  return { bus, store, textsOf };
}

/** Resolves when all promises that could settle by now have. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

Deno.test("MessageBus.redrive has the store append letters together; those that it refuses stay, and are told", async () => {
  const { bus, store, textsOf } = await setUpLetters(3);
  const redriven = bus.redrive("t");
  await settled();
  assertEquals(store.waiting, Array(3).fill("append 1 to t"));
  await store.answer();
  await store.refuse();
  await store.answer();
  assertEquals(await redriven, { redriven: 2, remaining: 1 });
  assertEquals([await textsOf("t/-dead"), await textsOf("t")], [["1"], ["0", "1", "2", "0", "2"]]);
  const refused = bus.redrive("t").catch((error) => error.message);
  await settled();
  await store.refuse();
  assertEquals([await refused, await textsOf("t/-dead")], ["the disk is full", ["1"]]);
});

Deno.test("MessageBus.redrive has a bounded number of letters on their way to the store", async () => {
  const { bus, store, textsOf } = await setUpLetters(600);
  const redriven = bus.redrive("t");
  const together: number[] = [];
  for (await settled(); store.waiting.length > 0; await settled()) {
    together.push(store.waiting.length);
    while (store.answerOne(0));
  }
  assertEquals([await redriven, together], [{ redriven: 600, remaining: 0 }, [256, 256, 88]]);
  assertEquals([await textsOf("t/-dead"), bus.topic("t")?.seq], [[], 1200]);
});

Deno.test("MessageBus.redrive goes on when what is on its way takes all the room there is", async () => {
  const { bus, store } = await setUpLetters(3, { maxMessages: 3 });
  store.prompt = true;
  // Their room is kept for them.
  for (let i = 0; i < 2; i++) await bus.schedule("t", "later", { delayMs: 1000 });
  assertEquals([await bus.redrive("t"), bus.topic("t")?.seq], [{ redriven: 3, remaining: 0 }, 6]);
});

Deno.test("very many dead letters, and a redrive of them, let others have their turn", async () => {
  const { bus, clock } = setUp({ maxAttempts: 1 });
  for (let i = 0; i < 2500; i++) bus.put("t", String(i));
  for (let i = 0; i < 2500; i++) bus.get("t", { group: "g", leaseMs: 1000 });
  clock.tick(1020);
  // Nobody waits for all of them to be moved.
  const moved = [0, 1, 2].map(() => {
    const { length } = bus.topic("t/-dead")!;
    clock.flush();
    return length;
  });
  assertEquals([moved, bus.topic("t/-dead")?.length], [[1000, 2000, 2500], 2500]);
  let redriven: unknown;
  const done = bus.redrive("t").then((result) => redriven = result, (error) => redriven = error.code);
  const lengths: (number | undefined)[] = [];
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < 10; i++) await undefined;
    lengths.push(bus.topic("t/-dead")?.length);
    clock.flush();
  }
  await done;
  assertEquals([lengths, redriven], [[1500, 500], { redriven: 2500, remaining: 0 }]);
});
