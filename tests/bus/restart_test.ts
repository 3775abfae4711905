import type { NackOptions } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Stored } from "../../lib/bus/store.ts";
import { BusError } from "../../lib/errors.ts";
import { type Message, parseCursor } from "../../lib/message.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { assert, assertEquals, assertRejects } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
import { codeOf } from "./error_code.ts";
import { KeptStore } from "./kept_store.ts";
import { RemoteLog, RemoteStore } from "./remote_store.ts";
import { TestClock } from "./test_clock.ts";

const LEASE = { group: "g", leaseMs: 10_000 };

/** A bus that is killed and opened again, on a store that keeps what it has answered for. */
class Lives {
  clock = new TestClock();
  bus!: MessageBus;
  readonly log: RemoteLog;
  readonly #options: BusOptions;
  #node: RemoteStore | undefined;

  private constructor(options: BusOptions) {
    this.#options = options;
    this.log = new RemoteLog(this.clock.now());
  }

  /** The first life. */
  static async begin(options: BusOptions = {}): Promise<Lives> {
    const lives = new Lives({ ttlMs: 0, ...options });
    await lives.restart();
    return lives;
  }

  /** The process is killed, and after a while another one begins. */
  async restart({ downMs = 0, ...options }: BusOptions & { downMs?: number } = {}): Promise<void> {
    this.#node?.close();
    // Nobody runs the timers of the one that was killed.
    this.clock = new TestClock(this.clock.now() + downMs);
    this.#node = new RemoteStore(this.log, { prompt: true });
    this.bus = await MessageBus.open({ ...this.#options, ...options, clock: this.clock, store: this.#node });
  }

  /** Lets everything happen that is on its way, and ends the turn. */
  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.clock.flush();
    }
  }

  /** Everything that a subscription gives. */
  async deliveries(topics: string, since: string): Promise<string[]> {
    const subscription = this.bus.subscribe(topics, { since: parseSince(since, this.clock.now()) });
    const lines: string[] = [];
    // What is not in memory comes a little later.
    for (let isCaughtUp = false; !isCaughtUp; isCaughtUp = lines.includes("caught-up")) {
      lines.push(...deliveriesOf(subscription));
      await this.settle();
    }
    subscription.close();
    return lines;
  }
}

function textsOf(messages: readonly Message[]): string[] {
  return messages.map((message) => message.text());
}

Deno.test("MessageBus.open of an empty store is an empty bus", async () => {
  const { bus } = await Lives.begin();
  assertEquals([bus.names(), (await bus.publish("foo", "a")).id], [[], 0]);
});

Deno.test("new MessageBus of a store that takes time to open throws not_synchronous, and closes it", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  class Slow extends RemoteStore {
    override close(): void {
      resolve();
    }
  }
  assertEquals(codeOf(() => new MessageBus({ store: new Slow(new RemoteLog(0)) })), "not_synchronous");
  await promise;
});

Deno.test("new MessageBus begins with what a store has kept that opens at once", () => {
  const store = new KeptStore();
  const options = { clock: new TestClock(), ttlMs: 0 };
  new MessageBus({ ...options, store }).put("foo", "a");
  assertEquals(new MessageBus({ ...options, store: new KeptStore(store.log) }).put("foo", "b").id, 1);
});

Deno.test("MessageBus.open rejects with what the store says, and asks none about a wrong limit", async () => {
  class Locked extends RemoteStore {
    opened = false;
    override open(): Promise<Stored> {
      this.opened = true;
      return Promise.reject(new BusError("store_locked", "Cannot open: another process has it"));
    }
  }
  const store = new Locked(new RemoteLog(0));
  await assertRejects(() => MessageBus.open({ store, maxTopics: -1 }), BusError, "Bad limit");
  assertEquals(store.opened, false);
  await assertRejects(() => MessageBus.open({ store }), BusError, "another process has it");
});

Deno.test("MessageBus.open gives topics with their epochs, and messages with everything they had", async () => {
  const lives = await Lives.begin();
  const options = { contentType: "text/plain", headers: { trace: "7" }, key: "k", ttlMs: 5000 };
  await lives.bus.publish("foo", "a", options);
  lives.clock.tick(7);
  await lives.bus.publish("foo", new Uint8Array([0, 255]));
  const before = lives.bus.topics();
  const page = await lives.bus.browse("foo");
  await lives.restart({ downMs: 100 });
  assertEquals(lives.bus.topics(), before);
  const after = await lives.bus.browse("foo");
  assertEquals(JSON.stringify(after), JSON.stringify(page));
  assertEquals(after!.next, page!.next);
});

Deno.test("MessageBus.open goes on with the ids of a topic of which nothing is left", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", ["a", "b"], { ttlMs: 1000 });
  await lives.restart({ downMs: 1000 });
  assertEquals(lives.bus.topic("foo")?.length, 0);
  assertEquals((await lives.bus.publish("foo", "c")).id, 2);
  await lives.restart();
  assertEquals((await lives.bus.publish("foo", "d")).id, 3);
});

Deno.test("MessageBus.open drops what has expired meanwhile, and tells a reader so", async () => {
  const lives = await Lives.begin({ ttlMs: 1000 });
  await lives.bus.publish("foo", ["a", "b"]);
  lives.clock.tick(500);
  const { cursor } = await lives.bus.publish("foo", "c");
  await lives.restart({ downMs: 500 });
  assertEquals(await lives.deliveries("foo", `0@${cursor.split("@")[1]}`), [
    "gap foo 0-1 expired",
    "foo 2",
    "caught-up",
  ]);
  const batch = await lives.bus.pullBatch("foo");
  assertEquals([textsOf(batch.messages), batch.gap?.reason], [["c"], "expired"]);
});

Deno.test("MessageBus.open keeps limits that are lower than they were", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", ["a", "b", "c", "d"]);
  await lives.restart({ maxMessages: 2 });
  assertEquals(textsOf((await lives.bus.browse("foo"))!.messages), ["c", "d"]);
  assertEquals((await lives.bus.browse("foo", { since: { next: 0 } }))!.gap?.reason, "dropped");
});

Deno.test("MessageBus.open keeps the holes of a log, and why messages are gone", async () => {
  const lives = await Lives.begin({ maxMessages: 4 });
  for (const ttlMs of [0, 0, 1000, 0, 0]) await lives.bus.publish("foo", "hi", { ttlMs });
  lives.clock.tick(2000);
  await lives.settle();
  await lives.restart();
  assertEquals(await lives.deliveries("foo", "0"), [
    "gap foo 0-0 dropped",
    "foo 1",
    "gap foo 2-2 expired",
    "foo 3",
    "foo 4",
    "caught-up",
  ]);
});

Deno.test("a reader of a time is told of a dead letter that was redriven just before the end", async () => {
  const lives = await Lives.begin({ maxAttempts: 1 });
  await lives.bus.publish("foo", "a");
  for (const group of ["g", "h"]) {
    const { lease } = (await lives.bus.pull("foo", { ...LEASE, group }))!;
    await lives.bus.nack(lease!);
    await lives.settle();
  }
  const redriven = lives.bus.redrive("foo", { group: "g" });
  await lives.settle();
  assertEquals(await redriven, { redriven: 1, remaining: 0 });
  const before = await lives.deliveries("foo/-dead", "10m");
  assertEquals(before, ["gap foo/-dead null-0 expired", "foo/-dead 1", "caught-up"]);
  // The store is told of what has left a log a little later, if the bus goes on.
  await lives.restart();
  assertEquals(await lives.deliveries("foo/-dead", "10m"), before);
});

Deno.test("MessageBus.open gives a topic made later another epoch than all before, whatever the clock does", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", "a");
  const { createdMs } = lives.bus.topic("foo")!;
  await lives.bus.delete("foo");
  await lives.restart({ downMs: -5000 });
  await lives.bus.publish("foo", "b");
  assertEquals(lives.bus.topic("foo")!.createdMs, createdMs + 1);
});

Deno.test("MessageBus.open never dates a message before an older one, whatever the clock does and whatever their topics are", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", "a");
  const [{ createdMs }] = (await lives.bus.browse("foo"))!.messages as [Message];
  await lives.restart({ downMs: -5000 });
  await lives.bus.publish("bar", "b");
  assertEquals((await lives.bus.browse("bar"))!.messages[0]!.createdMs, createdMs);
  // What is gone counts, too.
  await lives.bus.delete("foo");
  await lives.bus.delete("bar");
  await lives.restart();
  await lives.bus.publish("baz", "c");
  assertEquals((await lives.bus.browse("baz"))!.messages[0]!.createdMs, createdMs);
});

Deno.test("Subscription goes on after a restart where it was, without a gap", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", ["a", "b"]);
  const subscription = lives.bus.subscribe("foo", { since: "earliest" });
  deliveriesOf(subscription, { maxMessages: 1 });
  await lives.restart({ downMs: 1000 });
  await lives.bus.publish("foo", "c");
  assertEquals(await lives.deliveries("foo", subscription.cursor), ["foo 2", "caught-up"]);
  assertEquals(await lives.deliveries("foo", "1"), ["foo 1", "foo 2", "caught-up"]);
});

Deno.test("Subscription to several topics goes on after a restart where it was, without a gap", async () => {
  const lives = await Lives.begin();
  const subscription = lives.bus.subscribe("**", { since: "earliest" });
  await lives.bus.publish("a", "1");
  lives.clock.tick(5);
  await lives.bus.publish("b/c", "1");
  lives.clock.tick(5);
  assertEquals(deliveriesOf(subscription), ["caught-up", "a 0", "b/c 0"]);
  lives.clock.tick(5);
  const { cursor } = subscription;
  await lives.restart({ downMs: 1000 });
  await lives.bus.publish("b/c", "2");
  await lives.bus.publish("d", "1");
  assertEquals(await lives.deliveries("**", cursor), ["b/c 1", "d 0", "caught-up"]);
});

Deno.test("Subscription is told of topics that were gone before a restart, and of a time before the store was made", async () => {
  const lives = await Lives.begin();
  const { cursor } = lives.bus.subscribe("*");
  await lives.bus.publish("gone", "a");
  await lives.bus.publish("here", "a");
  await lives.bus.delete("gone");
  await lives.restart({ downMs: 1000 });
  assertEquals(await lives.deliveries("*", cursor), ["gap gone null-null reset", "here 0", "caught-up"]);
  const before = `T${(parseSince(cursor, 0) as { createdMs: number }).createdMs.toString(36)}`;
  assertEquals(before, cursor);
  const ancient = `T${(lives.clock.now() - 1e9).toString(36)}`;
  assertEquals(await lives.deliveries("*", ancient), ["gap * null-null reset", "here 0", "caught-up"]);
});

Deno.test("MessageBus.pull goes on after a restart where the queue was, and knows what was leased", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", ["a", "b", "c", "d"]);
  await lives.bus.pull("foo");
  const b = await lives.bus.pull("foo", { leaseMs: 10_000 });
  await lives.restart();
  // At once: leases have ended with the process.
  const again = await lives.bus.pull("foo", { leaseMs: 10_000 });
  assertEquals([again?.text(), again?.attempt], ["b", 2]);
  assertEquals(await lives.bus.ack([b!.lease!, again!.lease!]), { done: [again!.lease!], unknown: [b!.lease!] });
  assertEquals((await lives.bus.pull("foo"))?.text(), "c");
  await lives.restart();
  assertEquals((await lives.bus.pull("foo"))?.text(), "d");
  assertEquals(await lives.bus.pull("foo"), undefined);
  assertEquals(lives.bus.groups("foo").map(({ acked, dead, lost }) => [acked, dead, lost]), [[4, 0, 0]]);
});

Deno.test("groups are after a restart what they were, but that leases have ended and nobody has used them since", async () => {
  const lives = await Lives.begin({ maxAttempts: 1 });
  const { bus } = lives;
  await bus.publish("foo", ["a", "b", "c", "d", "e"], { key: undefined });
  await bus.publish("foo", ["f", "g"], { key: "k" });
  const { messages } = await bus.pullBatch("foo", { ...LEASE, limit: 3 });
  await bus.ack(messages[0]!.lease!);
  await bus.nack(messages[1]!.lease!);
  bus.makeGroup("foo", { group: "late", from: "latest" });
  await bus.pull("foo", { group: "late" });
  await lives.settle();
  await lives.restart({ maxAttempts: 5 });
  const before = bus.groups("foo");
  const after = lives.bus.groups("foo");
  const changed = { leased: 0, waiting: 1, lag: 5, warning: undefined };
  assertEquals(
    after,
    before.map((stats) => stats.group === "g" ? { ...stats, ...changed } : { ...stats, warning: undefined }),
  );
  assertEquals([after.find(({ group }) => group === "g")?.acked, after.find(({ group }) => group === "g")?.dead], [
    1,
    1,
  ]);
});

Deno.test("messages that were handed out come again after a restart in the order of their ids, before anything new", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", ["a", "b", "c", "d"]);
  const { messages } = await lives.bus.pullBatch("foo", { ...LEASE, limit: 3 });
  await lives.bus.ack(messages[1]!.lease!);
  await lives.restart();
  const again = await lives.bus.pullBatch("foo", { ...LEASE, limit: 10 });
  assertEquals(again.messages.map((message) => `${message.text()} ${message.attempt}`), ["a 2", "c 2", "d 1"]);
});

Deno.test("a message that was handed back for later waits for that after a restart, and no longer", async () => {
  const lives = await Lives.begin();
  const back = async (options: NackOptions) => lives.bus.nack((await lives.bus.pull("foo", LEASE))!.lease!, options);
  await lives.bus.publish("foo", ["a", "b"]);
  await back({ delayMs: 5000 });
  await back({ delayMs: 500, count: false });
  await lives.restart({ downMs: 1000 });
  const b = await lives.bus.pull("foo", LEASE);
  assertEquals([b?.text(), b?.attempt, await lives.bus.pull("foo", LEASE)], ["b", 1, undefined]);
  lives.clock.tick(4000);
  const a = await lives.bus.pull("foo", LEASE);
  assertEquals([a?.text(), a?.attempt], ["a", 2]);
});

Deno.test("a key is after a restart with the oldest message of it that isn't done, and others wait for that", async () => {
  const lives = await Lives.begin();
  for (const [text, key] of [["a", "k"], ["b", "k"], ["c", "l"], ["d", "k"]]) {
    await lives.bus.publish("foo", text!, { key });
  }
  const { messages } = await lives.bus.pullBatch("foo", { ...LEASE, limit: 10 });
  assertEquals(textsOf(messages), ["a", "c"]);
  await lives.restart();
  const again = await lives.bus.pullBatch("foo", { ...LEASE, limit: 10 });
  assertEquals(textsOf(again.messages), ["a", "c"]);
  await lives.bus.ack(again.messages[0]!.lease!);
  assertEquals((await lives.bus.pull("foo", LEASE))?.text(), "b");
  await lives.restart();
  assertEquals(textsOf((await lives.bus.pullBatch("foo", { ...LEASE, limit: 10 })).messages), ["b", "c"]);
});

Deno.test("a message that has had all its attempts becomes a dead letter after a restart, and isn't handed out", async () => {
  const lives = await Lives.begin({ maxAttempts: 1 });
  await lives.bus.publish("foo", ["a", "b"]);
  await lives.bus.pull("foo", LEASE);
  await lives.restart();
  assertEquals((await lives.bus.pull("foo", LEASE))?.text(), "b");
  await lives.settle();
  const [letter, ...others] = (await lives.bus.browse("foo/-dead"))!.messages;
  assertEquals([letter?.text(), letter?.headers["msgbus-dead-reason"], others], ["a", "lease expired", []]);
  await lives.restart();
  await lives.settle();
  assertEquals(textsOf((await lives.bus.browse("foo/-dead"))!.messages), ["a", "b"]);
  assertEquals(lives.bus.groups("foo").find(({ group }) => group === "g")?.dead, 2);
});

Deno.test("a dead letter that the store had not seen before a restart is made then, with the reason that was given", async () => {
  const log = new RemoteLog(0);
  const killed = new RemoteStore(log);
  const options = { clock: new TestClock(), ttlMs: 0, maxAttempts: 1 };
  const bus = await MessageBus.open({ ...options, store: killed });
  const through = async <T>(promise: Promise<T>): Promise<T> => {
    await killed.settle();
    return await promise;
  };
  await through(bus.publish("foo", "a"));
  const { lease } = (await through(bus.pull("foo", LEASE)))!;
  const nacked = bus.nack(lease!, { reason: "no such customer" });
  assertEquals(killed.waiting, ["note g of foo", "append 1 to foo/-dead"]);
  killed.take();
  killed.heed();
  await nacked;
  killed.close();
  const store = new RemoteStore(log);
  const next = await MessageBus.open({ ...options, store });
  for (let i = 0; i < 3; i++) {
    options.clock.flush();
    await store.settle();
  }
  const [letter] = (await next.browse("foo/-dead"))!.messages;
  assertEquals(letter?.headers["msgbus-dead-reason"], "no such customer");
});

Deno.test("a message that is handed out and has left the log meanwhile is lost after a restart", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", "a", { ttlMs: 1000 });
  await lives.bus.publish("foo", "b");
  await lives.bus.pull("foo", LEASE);
  await lives.restart({ downMs: 2000 });
  assertEquals((await lives.bus.pull("foo", LEASE))?.text(), "b");
  const lost = () => lives.bus.groups("foo").find(({ group }) => group === "g")?.lost;
  assertEquals(lost(), 1);
  await lives.restart();
  assertEquals(lost(), 1);
});

Deno.test("MessageBus.scheduled is after a restart what it was, and cancel takes it back", async () => {
  const lives = await Lives.begin();
  const schedule = (payload: string, delayMs: number) =>
    lives.bus.schedule("foo", payload, { delayMs, key: payload, ttlMs: 7e6 });
  const [a, , c] = [await schedule("a", 2000), await schedule("b", 1000), await schedule("c", 2000)];
  await lives.bus.cancel("foo", c.token);
  const before = lives.bus.scheduled("foo").map((message) => ({ ...message }));
  const { scheduledBytes } = lives.bus.totals();
  await lives.restart({ downMs: 500 });
  assertEquals(lives.bus.scheduled("foo").map((message) => ({ ...message })), before);
  assertEquals(lives.bus.totals().scheduledBytes, scheduledBytes);
  assertEquals([await lives.bus.cancel("foo", a.token), await lives.bus.cancel("foo", c.token)], [true, false]);
  lives.clock.tick(600);
  await lives.settle();
  assertEquals(textsOf((await lives.bus.browse("foo"))!.messages), ["b"]);
  await lives.restart();
  assertEquals([lives.bus.scheduled("foo"), lives.bus.totals().scheduledBytes], [[], 0]);
});

Deno.test("what became due while nobody ran is published at once, in its order, before anything new", async () => {
  const lives = await Lives.begin();
  for (const [payload, delayMs] of [["b", 2000], ["a", 1000], ["c", 2000], ["z", 9000]] as const) {
    await lives.bus.schedule("foo", payload, { delayMs });
  }
  await lives.restart({ downMs: 5000 });
  assertEquals((await lives.bus.publish("foo", "d")).id, 3);
  const { messages } = (await lives.bus.browse("foo"))!;
  assertEquals(textsOf(messages), ["a", "b", "c", "d"]);
  assert(messages.every(({ createdMs }) => createdMs === lives.clock.now()));
});

Deno.test("MessageBus.publish knows a repeat after a restart, and gives the first receipt, as long as its time is", async () => {
  const lives = await Lives.begin({ dedupeWindowMs: 10_000 });
  const options = { idempotencyKey: "k" };
  const first = await lives.bus.publish("foo", ["a", "b"], options);
  const later = await lives.bus.schedule("bar", "c", { ...options, delayMs: 1000 });
  await lives.restart({ downMs: 5000 });
  assertEquals(await lives.bus.publish("foo", ["a", "b"], options), { ...first, duplicate: true });
  assertEquals(await lives.bus.schedule("bar", "c", { ...options, delayMs: 1000 }), { ...later, duplicate: true });
  assertEquals((await lives.bus.publish("foo", "x", options).catch((error) => error)).code, "idempotency_conflict");
  assertEquals(textsOf((await lives.bus.browse("foo"))!.messages), ["a", "b"]);
  await lives.restart({ downMs: 5000 });
  assertEquals((await lives.bus.publish("foo", ["a", "b"], options)).id, 2);
});

Deno.test("what was not acknowledged before the end may be there, and what was is", async () => {
  const lives = await Lives.begin();
  await lives.bus.publish("foo", "a");
  const lost = lives.bus.publish("foo", "b");
  lost.catch(() => {});
  await lives.restart();
  assertEquals(textsOf((await lives.bus.browse("foo"))!.messages), ["a"]);
  assertEquals((await lives.bus.publish("foo", "c")).id, 1);
});

Deno.test("MessageBus.close tells the store what nobody was answered for", async () => {
  const store = new KeptStore();
  const clock = new TestClock();
  const bus = new MessageBus({ store, clock, ttlMs: 0, maxAttempts: 1 });
  bus.put("foo", "a", { ttlMs: 1000 });
  bus.put("foo", "b", { key: "k" });
  bus.put("foo", "c", { key: "k" });
  bus.get("foo", { leaseMs: 5000 });
  bus.get("foo", { leaseMs: 5000 });
  clock.stall(1000);
  // It passes over c, and finds a lost, and nobody is told.
  const waiting = bus.pull("foo", { waitMs: 100 }).catch(() => {});
  await bus.close();
  await waiting;
  const { topics: [{ index, groups: [queue] }] } = store.log.join() as Stored & { topics: [Stored["topics"][0]] };
  assertEquals([...index.ids], [1, 2]);
  assertEquals([queue!.unacked.map(({ id }) => id), queue!.next, queue!.counts.lost], [[1, 2], 3, 1]);
});

Deno.test("MessageBus.open gives a bus whose cursors are those it gave before", async () => {
  const lives = await Lives.begin();
  const { cursor } = await lives.bus.publish("foo", "a");
  const group = lives.bus.groups("foo")[0]?.cursor;
  await lives.restart();
  assertEquals([lives.bus.topic("foo")?.cursor, lives.bus.groups("foo")[0]?.cursor], [cursor, group]);
  assertEquals((await lives.bus.browse("foo", { since: parseCursor(cursor)! }))?.gap, undefined);
  assertEquals((await lives.bus.publish("foo", "b", { ifMatch: parseCursor(cursor)! })).id, 1);
});

Deno.test("topics and groups that stay idle after a restart are not all forgotten in one turn", async () => {
  const lives = await Lives.begin({ topicIdleMs: 60_000, groupIdleMs: 60_000 });
  const { bus } = lives;
  for (let i = 0; i < 200; i++) {
    await bus.publish(`kept/${i}`, "a");
    await bus.pull(`kept/${i}`, { group: "g" });
    await bus.publish(`empty/${i}`, "a", { ttlMs: 1000 });
  }
  await lives.restart({ downMs: 2000 });
  const left = () => {
    const names = lives.bus.names();
    const groups = names.filter((name) => lives.bus.groups(name).length > 1);
    return [names.filter((name) => name.startsWith("empty")).length, groups.length];
  };
  const counts: number[][] = [];
  for (const ms of [60_020, 200, 100]) {
    lives.clock.tick(ms);
    await lives.settle();
    counts.push(left());
  }
  assertEquals(counts, [[150, 150], [50, 50], [0, 0]]);
});
