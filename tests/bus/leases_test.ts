import { MessageBus } from "../../lib/bus/bus.ts";
import { assertEquals } from "../deps.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

/** A bus over a store that answers when a test says so, and a topic of it that has messages. */
async function setUp(...payloads: string[]) {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  const published = bus.publish("t", payloads);
  await store.answer();
  await published;
  /** Does something, has the store answer, and gives what came of it and what the store was asked. */
  const through = async <T>(work: Promise<T>) => {
    const { waiting } = store;
    await store.answerAll();
    return { waiting, result: await work };
  };
  return { bus, store, clock, through };
}

const LEASE = { group: "g", leaseMs: 10_000 };

Deno.test("MessageBus.pull gives a lease when the store has learnt of it, and ack answers when it has", async () => {
  const { bus, store, through } = await setUp("a", "b");
  const a = await through(bus.pull("t", LEASE));
  assertEquals([a.waiting, a.result?.text()], [["advance t g to 1, 0 has 1"], "a"]);
  let settled = false;
  const acked = bus.ack(a.result!.lease!).then(() => settled = true);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([store.waiting, settled], [["advance t g to 1, 0 done"], false]);
  await store.answer();
  await acked;
});

Deno.test("MessageBus.pull that waits in a new group tells the store where that begins, at once", async () => {
  const { bus, store, clock } = await setUp("a", "b");
  const pulled = bus.pull("t", { group: "g", from: "latest", waitMs: 1000 });
  assertEquals(store.waiting, ["advance t g to 2"]);
  await store.refuse();
  clock.tick(1000);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(store.waiting, ["advance t g to 2"]);
  await store.answerAll();
  assertEquals(await pulled, undefined);
});

Deno.test("MessageBus.nack and a second lease tell the store the attempt, and until when it waits", async () => {
  const { bus, clock, through } = await setUp("a");
  const first = (await through(bus.pull("t", LEASE))).result!;
  assertEquals((await through(bus.nack(first.lease!, { delayMs: 5000 }))).waiting, ["advance t g to 1, 0 has 1"]);
  clock.tick(5000);
  assertEquals((await through(bus.pull("t", LEASE))).waiting, ["advance t g to 1, 0 has 2"]);
  clock.tick(10_000);
  assertEquals((await through(bus.pull("t", { group: "g" }))).waiting, ["advance t g to 1, 0 done"]);
});

Deno.test("MessageBus.ack of several groups asks the store once for each", async () => {
  const { bus, through } = await setUp("a", "b");
  const tokens: string[] = [];
  for (const group of ["g", "h"]) {
    const { messages } = (await through(bus.pullBatch("t", { ...LEASE, group }))).result;
    tokens.push(...messages.map((message) => message.lease!));
  }
  const { waiting, result } = await through(bus.ack(tokens));
  assertEquals([waiting, result.done.length], [
    ["advance t g to 2, 0 done, 1 done", "advance t h to 2, 0 done, 1 done"],
    4,
  ]);
});

Deno.test("MessageBus.pull of a lease that the store refuses fails, and its message comes again as if it had not been leased", async () => {
  const { bus, store, through } = await setUp("a", "b");
  const tokens: string[] = [];
  const holder = { room: 1, leased: (token: string) => void tokens.push(token), released: () => {} };
  const pulled = bus.pull("t", { ...LEASE, holder }).catch((error) => error.message);
  await store.refuse();
  assertEquals(await pulled, "the disk is full");
  assertEquals((await bus.ack(tokens)).unknown, tokens);
  const { result } = await through(bus.pull("t", LEASE));
  assertEquals([result?.text(), result?.attempt], ["a", 1]);
});

Deno.test("MessageBus.deleteGroup has the store forget the group", async () => {
  const { bus, through } = await setUp("a");
  await through(bus.pull("t", LEASE));
  assertEquals((await through(bus.deleteGroup("t", "g"))).waiting, ["forget t g"]);
});

Deno.test("messages passed over for their key are told to the store as not done", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  for (const [payload, key] of [["a", "k"], ["b", "k"], ["c", "l"]] as const) {
    const published = bus.publish("t", payload, { key });
    await store.answer();
    await published;
  }
  const pulled = bus.pullBatch("t", LEASE);
  assertEquals(store.waiting, ["advance t g to 3, 0 has 1, 1 has 0, 2 has 1"]);
  await store.answerAll();
  const { messages: [first] } = await pulled;
  const acked = bus.ack(first!.lease!);
  assertEquals(store.waiting, ["advance t g to 3, 0 done"]);
  await store.answerAll();
  await acked;
});

Deno.test("tokens of leases are never the same, and hard to guess", async () => {
  const bus = new MessageBus({ clock: new TestClock(), ttlMs: 0 });
  bus.put("t", "a");
  const tokens = new Set<string>();
  for (let i = 0; i < 3000; i++) {
    tokens.add(bus.get("t", { group: `g${i % 900}`, leaseMs: 1000 })?.lease ?? `none ${i}`);
  }
  const given = [...tokens].filter((token) => !token.startsWith("none"));
  assertEquals([given.length, given.every((token) => /^[\w-]{22}$/.test(token))], [900, true]);
  assertEquals((await bus.ack(given.map((token) => token.slice(0, -1) + (token.endsWith("A") ? "B" : "A")))).done, []);
});

Deno.test("MessageBus.pull while the store is asked to remove the topic is answered when it knows, if it refuses that", async () => {
  const { bus, store, through } = await setUp("a", "b");
  const deleted = bus.delete("t").catch((error) => error.message);
  const a = bus.pull("t", LEASE);
  assertEquals(store.waiting, ["remove t"]);
  await store.refuse();
  assertEquals(await deleted, "the disk is full");
  assertEquals((await through(a)).waiting, ["advance t g to 1, 0 has 1"]);
  assertEquals((await a)?.text(), "a");
});

Deno.test("MessageBus has the store forget a group that it forgets because nobody uses it", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0, groupIdleMs: 1000 });
  const published = bus.publish("t", "a");
  await store.answer();
  await published;
  const pulled = bus.pull("t", { group: "g" });
  await store.answer();
  await pulled;
  clock.tick(1020);
  assertEquals(store.waiting, ["forget t g"]);
  // After a restart it is there again, and idle again.
  await store.refuse();
  assertEquals(bus.groups("t").length, 1);
});

Deno.test("MessageBus.deleteGroup of a topic that the store is asked to remove is answered when that is", async () => {
  const { bus, store, through } = await setUp("a");
  await through(bus.pull("t", LEASE));
  const deleted = bus.delete("t");
  let forgotten: boolean | undefined;
  const answered = bus.deleteGroup("t", "g").then((answer) => forgotten = answer);
  assertEquals([store.waiting, forgotten], [["remove t"], undefined]);
  await store.answer();
  await answered;
  assertEquals([await deleted, forgotten, store.waiting], [true, true, []]);
});

Deno.test("MessageBus.deleteGroup asks the store to forget the group if that refuses to remove its topic", async () => {
  const { bus, store, through } = await setUp("a");
  await through(bus.pull("t", LEASE));
  const deleted = bus.delete("t").catch((error) => error.message);
  const forgotten = bus.deleteGroup("t", "g");
  await store.refuse();
  assertEquals(await deleted, "the disk is full");
  assertEquals((await through(forgotten)).waiting, ["forget t g"]);
});

Deno.test("MessageBus.pull tells the store again, with what is new, what it has refused", async () => {
  const { bus, store, through } = await setUp("a", "b");
  const refused = bus.pull("t", LEASE).catch((error) => error.message);
  await store.refuse();
  assertEquals(await refused, "the disk is full");
  const more = { ...LEASE, limit: 2 };
  assertEquals((await through(bus.pullBatch("t", more))).waiting, [
    "advance t g to 2, 0 has 1, 0 has 0, 0 has 1, 1 has 1",
  ]);
});

Deno.test("MessageBus.ack that the store refuses is told again, and no lease of a message that is done by then", async () => {
  const { bus, store, through } = await setUp("a", "b");
  const a = (await through(bus.pull("t", LEASE))).result!;
  await through(bus.nack(a.lease!));
  const again = (await through(bus.pull("t", LEASE))).result!;
  const acked = bus.ack(again.lease!).catch((error) => error.message);
  await store.refuse();
  assertEquals(await acked, "the disk is full");
  assertEquals(bus.groups("t")[1]?.acked, 1);
  assertEquals((await through(bus.pull("t", { group: "g" }))).waiting, ["advance t g to 2, 0 done"]);
});
