import type { Page } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Message, TopicInfo } from "../../lib/message.ts";
import { assert, assertEquals, assertGreater, assertLess } from "../deps.ts";
import { deliveriesOf, lineOf } from "./deliveries.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { ReadableMemoryStore, ReadableStore } from "./readable_store.ts";
import { TestClock } from "./test_clock.ts";

/** Room for some eighty messages; six of them are read back at once. */
const MAX_MEMORY_BYTES = 160_000;
const SEGMENT_BYTES = MAX_MEMORY_BYTES / 16;
const COUNT = 400;

/** Resolves when all promises that could settle by now have. */
const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

const payloadOf = (i: number) => `${i}`.padEnd(1000, ".");
const idsOf = (messages: readonly Message[]) =>
  messages.map((message) => {
    assertEquals(message.text(), payloadOf(message.id));
    return message.id;
  });
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

async function publish(bus: MessageBus, topic: string, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await bus.publish(topic, payloadOf(i));
}

const reasonOf = (result: PromiseSettledResult<unknown>) =>
  result.status === "rejected" ? (result.reason as Error).message : undefined;

/** A bus with the topic `t`, most of which is not in memory; reads are answered when a test says so. */
async function setUp(options: BusOptions = {}, { promptReads = false } = {}) {
  const clock = new TestClock();
  const store = new ReadableStore({ prompt: true, promptReads });
  const bus = new MessageBus({ clock, store, ttlMs: 0, maxMemoryBytes: MAX_MEMORY_BYTES, ...options });
  await publish(bus, "t", 0, COUNT);
  assertEquals(bus.topic("t")?.length, COUNT);
  assertLess(bus.totals().residentBytes, MAX_MEMORY_BYTES + 1);
  assertGreater(bus.totals().bytes, 3 * MAX_MEMORY_BYTES);
  /** Ends turns, and has reads answered, until nothing happens any more. */
  const run = async () => {
    for (let i = 0; i < 4; i++) {
      await store.answerAll();
      clock.flush();
      await settled();
    }
  };
  return { bus, clock, store, run };
}

Deno.test("MessageBus.pullBatch gives everything in order, batch by batch, though most is not in memory", async () => {
  const { bus, store } = await setUp({}, { promptReads: true });
  const got: number[] = [];
  while (got.length < COUNT) {
    const { messages, gap } = await bus.pullBatch("t", { limit: 50 });
    assertEquals([gap, messages.length > 0], [undefined, true]);
    got.push(...idsOf(messages));
    assertLess(bus.totals().residentBytes, MAX_MEMORY_BYTES + SEGMENT_BYTES);
  }
  assertEquals(got, range(0, COUNT));
  // Each segment once.
  assertEquals(new Set(store.reads).size, store.reads.length);
  await bus.close();
});

Deno.test("MessageBus.pullBatch goes on to wait when somebody else has taken what was loaded for both", async () => {
  const { bus, clock, store, run } = await setUp();
  await publish(bus, "one", 0, 1);
  await publish(bus, "t", COUNT, 2 * COUNT);
  const pulls = [1, 2].map(() => bus.pullBatch("one", { limit: 1, waitMs: 1000 }));
  const got: number[][] = [];
  for (const pull of pulls) pull.then(({ messages }) => got.push(idsOf(messages)));
  assertEquals(store.waiting.filter((name) => name.startsWith("read one")).length, 1);
  await run();
  assertEquals(got, [[0]]);
  await publish(bus, "one", 1, 2);
  await run();
  assertEquals(got, [[0], [1]]);
  // In all no longer than it was asked to.
  const late = bus.pullBatch("one", { waitMs: 1000 });
  clock.tick(1000);
  assertEquals((await late).messages, []);
  await bus.close();
});

Deno.test("MessageBus.browse goes on through what is not in memory", async () => {
  const { bus, store } = await setUp({}, { promptReads: true });
  const page = (await bus.browse("t", { since: { next: 3 }, limit: 300 }))!;
  assertEquals(idsOf(page.messages), range(3, 303));
  assertEquals(page.next.split("@")[0], "303");
  assertGreater(store.reads.length, 20);
  assertEquals(bus.topic("t")?.pending, COUNT);
  await bus.close();
});

Deno.test("MessageBus.browse tells of what was dropped while it was loaded, and gives what is left", async () => {
  const { bus, store } = await setUp({ maxMessages: COUNT });
  const page = bus.browse("t", { since: { next: 0 }, limit: 3 });
  await publish(bus, "t", COUNT, COUNT + 2);
  while (store.waiting.length > 0) await store.answer();
  const { messages, gap } = (await page)!;
  assertEquals([lineOf(gap), idsOf(messages)], ["gap t 0-1 dropped", [2, 3, 4]]);
  await bus.close();
});

Deno.test("MessageBus.browse of a topic that is deleted while it is loaded is that of a missing one", async () => {
  const { bus, store } = await setUp();
  const page = bus.browse("t");
  await bus.delete("t");
  await store.answerAll();
  assertEquals(await page, undefined);
  assertEquals(bus.totals().residentBytes, 0);
  await bus.close();
});

Deno.test("Subscription replays everything, segment by segment, and its bell rings for what was loaded", async () => {
  const { bus, clock, store } = await setUp({}, { promptReads: true });
  const got: string[] = [];
  let most = 0;
  bus.subscribe("t", {
    since: "earliest",
    onReady: (subscription) => {
      got.push(...deliveriesOf(subscription));
      most = Math.max(most, bus.totals().residentBytes);
    },
  });
  while (!got.includes("caught-up")) {
    clock.flush();
    await settled();
  }
  assertEquals(got, [...range(0, COUNT).map((id) => `t ${id}`), "caught-up"]);
  assertLess(most, MAX_MEMORY_BYTES + SEGMENT_BYTES);
  assertEquals(new Set(store.reads).size, store.reads.length);
  await bus.publish("t", payloadOf(COUNT));
  clock.flush();
  assertEquals(got.at(-1), `t ${COUNT}`);
  await bus.close();
});

Deno.test("Subscription has what comes next loaded while it reads", async () => {
  const { bus, store, run } = await setUp();
  const subscription = bus.subscribe("t", { since: "earliest" });
  assertEquals(subscription.read(), undefined);
  assertEquals(store.waiting.length, 1);
  await run();
  assert(typeof subscription.read() === "object");
  assertEquals(store.waiting.length, 1);
  await run();
  // Without another wait.
  assert(typeof subscription.read() === "object");
  await bus.close();
});

Deno.test("Subscription to several topics gives the oldest message next, though it has to be loaded", async () => {
  const clock = new TestClock();
  const store = new ReadableStore({ prompt: true });
  const bus = new MessageBus({ clock, store, ttlMs: 0, maxMemoryBytes: MAX_MEMORY_BYTES });
  for (let i = 0; i < 200; i++) {
    await bus.publish(i % 3 === 0 ? "a" : "b", payloadOf(i));
    clock.tick(1);
  }
  const subscription = bus.subscribe("*", { since: "earliest" });
  const got: number[] = [];
  for (let waits = 0; got.length < 200; waits++) {
    assertLess(waits, 500);
    const delivery = subscription.read();
    if (delivery === undefined) {
      await store.answerAll();
      clock.flush();
    } else if (delivery !== "full" && delivery.event === "messages") {
      got.push(...delivery.messages.map((message) => Number.parseInt(message.text())));
    }
  }
  assertEquals(got, range(0, 200));
  await bus.close();
});

Deno.test("a thousand readers of what is not in memory have it read once, and wait their turn", async () => {
  const { bus, clock, store, run } = await setUp();
  const subscriptions = Array.from({ length: 400 }, () => bus.subscribe("t", { since: "earliest" }));
  for (const subscription of subscriptions) assertEquals(subscription.read(), undefined);
  const pages = Array.from({ length: 300 }, () => bus.browse("t", { limit: 2 }));
  const pulls = Array.from({ length: 300 }, (_, i) => bus.pull("t", { group: `g${i % 100}` }));
  await settled();
  assertEquals(store.reads, ["read t 0-5"]);
  await run();
  for (const page of await Promise.all(pages)) assertEquals(idsOf(page!.messages), [0, 1]);
  assertEquals((await Promise.all(pulls)).map((message) => message!.id), range(0, 300).map((i) => Math.floor(i / 100)));
  clock.flush();
  for (const subscription of subscriptions) assertEquals(subscription.take()?.id, 0);
  assertEquals(store.reads.filter((name) => name === "read t 0-5").length, 1);
  await bus.close();
});

Deno.test("MessageBus.pull that waits is served in order when what is next has been loaded", async () => {
  const { bus, clock, store, run } = await setUp();
  const leased = (await Promise.all([bus.pull("t", { leaseMs: 1000 }), store.answerAll()]))[0]!;
  const { messages: [last] } = await bus.pullBatch("t", { group: "end", from: "latest", limit: 1 });
  assertEquals(last, undefined);
  // The group has read everything; its first message comes back when its lease ends, and is not in memory then.
  const group = { group: "g", from: { last: COUNT } } as const;
  await Promise.all([bus.pull("t", { ...group, leaseMs: 60_000 }), run()]);
  assertEquals(leased.id, 0);
  const order: string[] = [];
  const waits = ["first", "second"].map(async (name) => {
    const { messages } = await bus.pullBatch("t", { group: "end", limit: 1, waitMs: 10_000 });
    order.push(`${name} ${messages[0]?.id}`);
  });
  await publish(bus, "t", COUNT, COUNT + 2);
  // Nobody has read them, and others came after them.
  await publish(bus, "other", 0, COUNT);
  clock.flush();
  await run();
  await Promise.all(waits);
  assertEquals(order, [`first ${COUNT}`, `second ${COUNT + 1}`]);
  assert(store.reads.some((name) => name.endsWith(`-${COUNT + 1}`)), `${store.reads}`);
  await bus.close();
});

Deno.test("MessageBus.pull fails if what is next can't be read, and gives it to who asks again", async () => {
  const { bus, store } = await setUp();
  const first = Promise.allSettled([bus.pull("t"), bus.pull("t")]);
  await settled();
  await store.refuse("the disk is gone");
  assertEquals((await first).map(reasonOf), ["the disk is gone", "the disk is gone"]);
  const again = bus.pull("t");
  await store.answerAll();
  assertEquals((await again)?.id, 0);
  assertEquals(bus.groups("t")[0]?.lost, 0);
  await bus.close();
});

Deno.test("MessageBus.pull that waits goes on to wait if what was loaded waits for its key", async () => {
  const { bus, clock, run } = await setUp();
  const pull = { group: "end", from: "latest", leaseMs: 60_000 } as const;
  await bus.pull("t", pull);
  for (const i of [0, 1]) await bus.publish("t", payloadOf(i), { key: "k" });
  await Promise.all([bus.pull("t", pull), run()]);
  await publish(bus, "other", 0, COUNT);
  const answers: (number | undefined)[] = [];
  for (const waitMs of [1000, 2000]) bus.pull("t", { ...pull, waitMs }).then((message) => answers.push(message?.id));
  await run();
  clock.tick(999);
  await run();
  assertEquals(answers, []);
  clock.tick(1);
  await run();
  assertEquals(answers, [undefined]);
  await bus.publish("t", payloadOf(COUNT + 2));
  await run();
  assertEquals(answers, [undefined, COUNT + 2]);
  await bus.close();
});

Deno.test("MessageBus.pull that waits fails, too", async () => {
  const { bus, clock, store } = await setUp();
  const pull = { group: "end", from: "latest" } as const;
  const waits = Promise.allSettled([1, 2].map(() => bus.pull("t", { ...pull, waitMs: 10_000 })));
  await publish(bus, "t", COUNT, COUNT + 1);
  await publish(bus, "other", 0, COUNT);
  clock.flush();
  await settled();
  await store.refuse("the disk is gone");
  assertEquals((await waits).map(reasonOf), ["the disk is gone", "the disk is gone"]);
  assertEquals(clock.timers, 1);
  await bus.close();
});

Deno.test("Subscription that waits for what is loaded is not called for anything else", async () => {
  for (const topics of ["t", "t,other"]) {
    const { bus, clock, store, run } = await setUp();
    let bells = 0;
    const subscription = bus.subscribe(topics, { since: "earliest", onReady: () => bells++ });
    clock.flush();
    assertEquals([subscription.read(), bells], [undefined, 1]);
    await publish(bus, "t", COUNT, COUNT + 1);
    clock.flush();
    assertEquals([bells, store.waiting.length], [1, 1]);
    await run();
    assertEquals([bells, subscription.take()?.id], [2, 0]);
    await bus.close();
  }
});

Deno.test("what is missing of a topic that is being deleted is not damaged", async () => {
  class Removing extends ReadableStore {
    readonly removal = Promise.withResolvers<void>();

    override async remove(topic: TopicInfo): Promise<void> {
      this.messages.remove(topic);
      await this.removal.promise;
    }
  }
  const store = new Removing({ prompt: true, promptReads: true });
  const bus = new MessageBus({ clock: new TestClock(), store, ttlMs: 0, maxMemoryBytes: MAX_MEMORY_BYTES });
  await publish(bus, "t", 0, COUNT);
  const deleted = bus.delete("t");
  const page = bus.browse("t");
  await settled();
  assertEquals([bus.totals().damaged, bus.topic("t")?.length], [0, COUNT]);
  store.removal.resolve();
  assertEquals([await deleted, await page, bus.totals().damaged], [true, undefined, 0]);
  await bus.close();
});

Deno.test("Subscription has a read that failed tried again a second later, and is not stalled meanwhile", async () => {
  const { bus, clock, store, run } = await setUp();
  const ends: string[] = [];
  const subscription = bus.subscribe("t", {
    since: "earliest",
    stallMs: 400,
    onReady: (subscription) => void subscription.take(),
    onEnd: (_, reason) => ends.push(reason),
  });
  clock.flush();
  for (let i = 0; i < 5; i++) {
    await settled();
    assertEquals(store.waiting.length, 1);
    await store.refuse();
    clock.tick(999);
    clock.flush();
    assertEquals(store.waiting.length, 0);
    clock.tick(1);
    clock.flush();
  }
  clock.tick(10_000);
  assertEquals(ends, []);
  await run();
  assertEquals(subscription.cursor.split("@")[0], "1");
  // Now it is the reader who takes nothing.
  clock.tick(1000);
  assertEquals(ends, ["stalled"]);
  await bus.close();
});

Deno.test("Subscription that is closed while it waits leaves no timer behind", async () => {
  const { bus, clock, store } = await setUp();
  const { timers } = clock;
  const subscription = bus.subscribe("t", { since: "earliest" });
  subscription.read();
  await settled();
  await store.refuse();
  assertEquals(clock.timers, timers + 1);
  subscription.close();
  assertEquals(clock.timers, timers);
  await bus.close();
});

Deno.test("a message that does not come back is damaged: every reader is told so, once, and it counts no more", async () => {
  const { bus, store, run } = await setUp();
  const { info } = { info: (await Promise.all([bus.pull("t", { group: "h" }), store.answerAll()]))[0]!.topic };
  for (const id of [20, 21, 23]) store.messages.lose(info, id);
  const bytes = bus.topic("t")!.bytes;
  const page = bus.browse("t", { since: { next: 18 } });
  await run();
  const { messages, next } = (await page)!;
  assertEquals([idsOf(messages), next.split("@")[0]], [[18, 19], "20"]);
  const after = bus.browse("t", { since: { next: 20 } });
  await run();
  const { messages: [first], gap } = (await after)!;
  assertEquals([lineOf(gap), first?.id], ["gap t 20-21 damaged", 22]);
  assertEquals([bus.topic("t")?.length, bus.totals().damaged], [COUNT - 3, 3]);
  assertEquals(bus.topic("t")!.bytes < bytes, true);
  const subscription = bus.subscribe("t", { since: { next: 19 } });
  const told: string[] = [];
  for (let i = 0; i < 3; i++) {
    told.push(...deliveriesOf(subscription));
    await run();
  }
  assertEquals(told.slice(0, 5), ["t 19", "gap t 20-21 damaged", "t 22", "gap t 23-23 damaged", "t 24"]);
  await bus.close();
});

Deno.test("a damaged message counts as lost in the groups that were not done with it", async () => {
  const { bus, clock, store, run } = await setUp({ maxAttempts: 2 });
  const lease = { group: "g", leaseMs: 1000 };
  const pulled = bus.pull("t", lease);
  await run();
  const message = (await pulled)!;
  // It leaves the memory, and comes back when its lease is over.
  await publish(bus, "other", 0, COUNT);
  store.messages.lose(message.topic, 0);
  store.messages.lose(message.topic, 1);
  clock.tick(1000);
  const next = bus.pull("t", lease);
  await run();
  assertEquals((await next)?.id, 2);
  const [, stats] = bus.groups("t");
  assertEquals([stats?.lost, stats?.leased, bus.totals().dead], [2, 1, 0]);
  await bus.close();
});

Deno.test("a message that had all its attempts is read back to be a dead letter, also if it is just being dropped", async () => {
  const { bus, clock, store, run } = await setUp({ maxAttempts: 1, maxMessages: COUNT });
  for (let i = 0; i < 2; i++) {
    const pulled = bus.pull("t", { group: "g", leaseMs: 1000 });
    await run();
    assertEquals((await pulled)?.id, i);
  }
  await publish(bus, "other", 0, COUNT);
  clock.stall(1001);
  store.reads.length = 0;
  // Nobody has noticed yet that its lease is over when it leaves the log.
  await publish(bus, "t", COUNT, COUNT + 1);
  assertEquals(store.reads, ["read t 0-0"]);
  clock.tick(100);
  assertEquals(store.messages.idsOf((await bus.topic("t"))!.cursor.split("@")[1]!)[0], 1);
  await run();
  assertEquals(store.reads, ["read t 0-0", "read t 1-1"]);
  const page = bus.browse("t/-dead");
  await run();
  const { messages } = (await page)!;
  assertEquals(messages.map(({ headers }) => headers["msgbus-dead-id"]), ["0", "1"]);
  assertEquals(messages.map((message) => message.text()), [payloadOf(0), payloadOf(1)]);
  const [, { dead, lost }] = bus.groups("t") as [unknown, { dead: number; lost: number }];
  assertEquals({ dead, lost }, { dead: 2, lost: 0 });
  await bus.close();
});

Deno.test("a group that was idle for long is not forgotten before its dead letters are read back", async () => {
  const { bus, clock, run } = await setUp({ maxAttempts: 1, groupIdleMs: 5000 });
  const pulled = bus.pull("t", { group: "g", leaseMs: 1000 });
  await run();
  await pulled;
  await publish(bus, "other", 0, COUNT);
  clock.stall(6000);
  clock.tick(20);
  assertEquals([bus.groups("t").length, bus.totals().dead], [2, 0]);
  await run();
  clock.tick(40);
  assertEquals([bus.groups("t").length, bus.totals().dead], [1, 1]);
  await bus.close();
});

Deno.test("a dead letter whose message can't be read is tried again a second later", async () => {
  const { bus, clock, store, run } = await setUp({ maxAttempts: 1 });
  const pulled = bus.pull("t", { group: "g", leaseMs: 1000 });
  await run();
  await pulled;
  await publish(bus, "other", 0, COUNT);
  clock.tick(1020);
  await store.refuse();
  assertEquals([bus.groups("t")[1]?.waiting, bus.totals().dead], [1, 0]);
  clock.tick(1020);
  await run();
  assertEquals(bus.totals().dead, 1);
  await bus.close();
});

Deno.test("MessageBus.redrive publishes dead letters again that are not in memory, in order", async () => {
  const { bus, clock, run } = await setUp({ maxAttempts: 1 }, { promptReads: true });
  for (let left = 60; left > 0;) {
    const { messages } = await bus.pullBatch("t", { leaseMs: 1000, limit: left });
    left -= messages.length;
  }
  clock.tick(1020);
  await run();
  const numbersOf = ({ messages }: Page) => messages.map((message) => Number.parseInt(message.text()));
  const letters = numbersOf((await bus.browse("t/-dead"))!);
  assertEquals(letters.toSorted((a, b) => a - b), range(0, 60));
  await publish(bus, "other", 0, COUNT);
  assertEquals(await bus.redrive("t"), { redriven: 60, remaining: 0 });
  assertEquals([bus.topic("t/-dead")?.length, bus.topic("t")?.seq], [0, COUNT + 60]);
  assertEquals(numbersOf((await bus.browse("t", { since: { next: COUNT } }))!), letters);
  await bus.close();
});

Deno.test("Store.drop is told what has left each log: together, a tenth of a second later, and at the end", async () => {
  const { bus, clock, store } = await setUp({ maxMessages: COUNT });
  const epoch = bus.topic("t")!.cursor.split("@")[1]!;
  await bus.publish("t", "early", { ttlMs: 50 });
  await publish(bus, "t", COUNT + 1, COUNT + 10);
  assertEquals(store.messages.idsOf(epoch).length, COUNT + 10);
  clock.tick(120);
  assertEquals(store.messages.idsOf(epoch), range(10, COUNT + 10).filter((id) => id !== COUNT));
  await publish(bus, "t", COUNT + 10, COUNT + 12);
  await bus.close();
  // One had room for the one that expired.
  assertEquals(store.messages.idsOf(epoch), range(11, COUNT + 12).filter((id) => id !== COUNT));
});

Deno.test("MessageBus with a store that reads back refuses only what has to stay in memory whole", async () => {
  const { bus, clock } = await setUp();
  for (let i = 0; i < 90; i++) await bus.schedule("later", payloadOf(i), { delayMs: 1000 });
  assertEquals(await codeOfRejection(bus.schedule("later", payloadOf(0).repeat(20), { delayMs: 1000 })), "overloaded");
  assertEquals(bus.totals().dropped, 0);
  assertLess(bus.totals().residentBytes, MAX_MEMORY_BYTES + SEGMENT_BYTES);
  clock.tick(1020);
  await settled();
  assertEquals([bus.topic("later")?.length, bus.totals().dropped], [90, 0]);
  await bus.close();
});

Deno.test("MessageBus with discard new counts what is not in memory as what groups are not done with", async () => {
  const { bus, run } = await setUp({ discard: "new", maxMessages: COUNT }, { promptReads: true });
  assertEquals(await codeOfRejection(bus.publish("t", "x")), "topic_full");
  const { messages } = await bus.pullBatch("t", { limit: 5 });
  assertEquals(messages.length, 5);
  await publish(bus, "t", COUNT, COUNT + 5);
  assertEquals(await codeOfRejection(bus.publish("t", "x")), "topic_full");
  await run();
  await bus.close();
});

Deno.test("MessageBus keeps within its memory however many topics there are", async () => {
  const clock = new TestClock();
  const store = new ReadableStore({ prompt: true, promptReads: true });
  const bus = new MessageBus({ clock, store, ttlMs: 0, maxMemoryBytes: MAX_MEMORY_BYTES });
  for (let i = 0; i < 300; i++) {
    for (let n = 0; n < 3; n++) await bus.publish(`t/${i % 150}`, payloadOf(n));
    assertLess(bus.totals().residentBytes, MAX_MEMORY_BYTES + 1);
  }
  for (let i = 0; i < 150; i++) {
    const { messages } = (await bus.browse(`t/${i}`))!;
    assertEquals(messages.map((message) => message.text()), [0, 1, 2, 0, 1, 2].map(payloadOf));
  }
  await bus.close();
});

Deno.test("what expires, and what is counted, needs nothing to be loaded", async () => {
  const { bus, clock, store } = await setUp({ ttlMs: 1000 });
  await bus.publish("t", payloadOf(COUNT), { ttlMs: 10_000 });
  await publish(bus, "other", 0, COUNT);
  const subscription = bus.subscribe("t", { since: "earliest" });
  const resident = bus.totals().residentBytes;
  assertEquals([bus.topic("t")?.length, subscription.lag], [COUNT + 1, COUNT + 1]);
  clock.tick(1020);
  assertEquals([bus.topic("t")?.length, subscription.lag, bus.totals().expired], [1, 1, 2 * COUNT]);
  assertEquals(bus.groups("t")[0]?.lag, 1);
  assertLess(bus.totals().residentBytes, resident);
  assertEquals(store.reads, []);
  await bus.close();
});

Deno.test("MessageBus.get throws not_synchronous for what is not in memory, and finds it loaded later", async () => {
  const bus = new MessageBus({
    clock: new TestClock(),
    store: new ReadableMemoryStore(),
    ttlMs: 0,
    maxMemoryBytes: MAX_MEMORY_BYTES,
  });
  for (let i = 0; i < COUNT; i++) bus.put("t", payloadOf(i));
  assertEquals(codeOf(() => bus.get("t")), "not_synchronous");
  await settled();
  assertEquals(bus.get("t")?.id, 0);
  await bus.close();
});
