import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { MESSAGE_OVERHEAD_BYTES } from "../../lib/bus/limits.ts";
import type { Append, GroupChange } from "../../lib/bus/store.ts";
import { parseCursor, type TopicInfo } from "../../lib/message.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assert, assertEquals, assertRejects, assertThrows, fc } from "../deps.ts";
import { testStore } from "../store_suite.ts";
import { deliveriesOf } from "./deliveries.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

testStore("LaterStore", () => new LaterStore({ prompt: true }));

function setUp(options: BusOptions = {}) {
  const store = new LaterStore();
  const clock = new TestClock();
  return { store, clock, bus: new MessageBus({ store, clock, ...options }) };
}

/** Where a promise has come to. */
async function stateOf(promise: Promise<unknown>): Promise<"pending" | "resolved" | "rejected"> {
  const pending = Symbol();
  const first = await Promise.race([promise.then(() => "resolved", () => "rejected"), Promise.resolve(pending)]);
  return first === pending ? "pending" : first as "resolved" | "rejected";
}

Deno.test("MessageBus.put and get throw not_synchronous with a store that answers later", () => {
  const { bus, store } = setUp();
  assertEquals(codeOf(() => bus.put("foo", "a")), "not_synchronous");
  assertEquals(codeOf(() => bus.get("foo")), "not_synchronous");
  assertEquals(bus.topics(), []);
  assertEquals(store.waiting, []);
});

Deno.test("MessageBus.publish resolves after the store has answered, not before", async () => {
  const { bus, store } = setUp();
  const receipt = bus.publish("foo", "a");
  assertEquals(await stateOf(receipt), "pending");
  await store.answer();
  const { id, durability } = await receipt;
  assertEquals({ id, durability }, { id: 0, durability: "synced" });
});

Deno.test("MessageBus.publish shows nothing before the store has answered", async () => {
  const { bus, store, clock } = setUp();
  let bells = 0;
  const subscription = bus.subscribe("foo", { onReady: () => bells++ });
  clock.flush();
  assertEquals({ bells, next: subscription.take() }, { bells: 1, next: undefined });
  bells = 0;
  const receipt = bus.publish("foo", ["a", "b"]);
  clock.flush();
  assertEquals({ bells, next: subscription.take(), pulled: await bus.pull("foo") }, {
    bells: 0,
    next: undefined,
    pulled: undefined,
  });
  assertEquals({ length: bus.topic("foo")?.length, published: bus.totals().published }, { length: 0, published: 0 });
  await store.answer();
  await receipt;
  clock.flush();
  assertEquals({ bells, next: subscription.take()?.text() }, { bells: 1, next: "a" });
});

Deno.test("MessageBus.publish that the store refuses rejects with the store's error", async () => {
  const { bus, store } = setUp();
  const receipt = assertRejects(() => bus.publish("foo", "a"), Error, "the disk is full");
  await store.refuse();
  await receipt;
});

Deno.test("MessageBus.publish that the store refuses leaves no topic behind", async () => {
  const { bus, store } = setUp();
  const receipt = settled(bus.publish("foo", "a"));
  await store.refuse();
  await receipt;
  assertEquals(bus.topics(), []);
  assertEquals(bus.totals().topics, 0);
});

Deno.test("MessageBus.put that a synchronous store refuses takes no id and leaves no topic behind", () => {
  class FullStore extends MemoryStore {
    full = false;
    override append(append: Append): number {
      if (this.full) throw new Error("the disk is full");
      return super.append(append);
    }
  }
  const store = new FullStore();
  const bus = new MessageBus({ store, clock: new TestClock() });
  bus.put("foo", "a");
  store.full = true;
  assertThrows(() => bus.put("foo", "b"), Error, "the disk is full");
  assertThrows(() => bus.put("bar", "b"), Error, "the disk is full");
  assertEquals(bus.topics().map(({ name, seq }) => [name, seq]), [["foo", 1]]);
  store.full = false;
  assertEquals(bus.put("foo", "c").id, 1);
});

Deno.test("MessageBus.publish that the store refuses takes no id, though others wait behind it", async () => {
  const { bus, store } = setUp();
  const refused = settled(bus.publish("foo", ["a", "b"]));
  const accepted = bus.publish("foo", "c");
  await store.refuse();
  await refused;
  assertEquals(bus.topics().length, 1);
  await store.answer();
  assertEquals((await accepted).id, 0);
  assertEquals(bus.topic("foo")?.seq, 1);
});

Deno.test("MessageBus.publish keeps the order of concurrent publishes, answered at once or one by one", async () => {
  for (const atOnce of [true, false]) {
    const { bus, store } = setUp();
    const receipts = ["a", "b", "c", "d"].map((payload) => bus.publish("foo", payload));
    assertEquals(store.waiting.length, 4);
    if (atOnce) await store.answerAll();
    else while (store.waiting.length > 0) await store.answer();
    assertEquals((await Promise.all(receipts)).map(({ id }) => id), [0, 1, 2, 3]);
    const subscription = bus.subscribe("foo", { since: "earliest" });
    assertEquals([0, 1, 2, 3].map(() => subscription.take()?.text()), ["a", "b", "c", "d"]);
  }
});

Deno.test("MessageBus.publish asks the store with the id that follows everything on its way", async () => {
  const expected: number[] = [];
  class Witness extends LaterStore {
    override append(append: Append): Promise<number> {
      expected.push(append.expectedId);
      return super.append(append);
    }
  }
  const store = new Witness();
  const bus = new MessageBus({ store, clock: new TestClock() });
  const receipts = [bus.publish("foo", ["a", "b"]), bus.publish("foo", "c")];
  // The one who publishes as soon as the first is acknowledged comes in between.
  receipts.push(receipts[0]!.then(() => bus.publish("foo", "d")));
  await store.answerAll();
  await store.answerAll();
  await Promise.all(receipts);
  assertEquals(expected, [0, 2, 3]);
});

Deno.test("MessageBus.publish counts what is on its way as retained, at every moment", async () => {
  const { bus, store } = setUp({ maxMessages: 2, discard: "new" });
  const first = bus.publish("foo", "a");
  const second = bus.publish("foo", "b");
  // Whenever in the course of the answers somebody publishes, two are retained or on their way.
  const refusals: Promise<string>[] = [codeOfRejection(bus.publish("foo", "c"))];
  let step = Promise.resolve();
  for (let i = 0; i < 10; i++) {
    step = step.then(() => void refusals.push(codeOfRejection(bus.publish("foo", "c"))));
  }
  await store.answerAll();
  await Promise.all([first, second, step]);
  assertEquals(new Set(await Promise.all(refusals)), new Set(["topic_full"]));
  assertEquals(refusals.length, 11);
});

Deno.test("MessageBus.publish counts the bytes on their way against the topic and the memory", async () => {
  const { bus, store } = setUp({ maxTopicBytes: 1000, maxMemoryBytes: 1500, discard: "new" });
  const payload = "x".repeat(300);
  const first = settled(bus.publish("foo", payload));
  assertEquals(await codeOfRejection(bus.publish("foo", payload)), "topic_full");
  const second = bus.publish("bar", payload);
  assertEquals(await codeOfRejection(bus.publish("baz", payload)), "overloaded");
  await store.refuse();
  await first;
  const third = bus.publish("baz", payload);
  await store.answerAll();
  await Promise.all([second, third]);
  assertEquals(bus.topics().map(({ name }) => name), ["bar", "baz"]);
});

Deno.test("MessageBus.publish gives back what was on its way once the store has answered or refused", async () => {
  for (const limit of [{ maxMessages: 1 }, { maxTopicBytes: 500 }, { maxMemoryBytes: 500 }]) {
    const { bus, store } = setUp({ ...limit, discard: "new" });
    const first = bus.publish("foo", "a");
    await store.answer();
    assertEquals((await first).id, 0);
    for (let i = 1; i < 4; i++) {
      const pulled = bus.pull("foo");
      await store.answer();
      await pulled;
      const refused = settled(bus.publish("foo", "a"));
      await store.refuse();
      await refused;
      const receipt = bus.publish("foo", "a");
      await store.answer();
      assertEquals((await receipt).id, i);
    }
  }
});

Deno.test("MessageBus.publish dates a message when it was accepted, in the order of acceptance", async () => {
  const { bus, store, clock } = setUp();
  const acceptedMs = clock.now();
  const receipts = [bus.publish("foo", "a")];
  clock.stall(5);
  receipts.push(bus.publish("foo", "b"));
  clock.stall(1000);
  await store.answerAll();
  await Promise.all(receipts);
  const subscription = bus.subscribe("foo", { since: "earliest" });
  assertEquals([subscription.take()?.createdMs, subscription.take()?.createdMs], [acceptedMs, acceptedMs + 5]);
});

Deno.test("MessageBus.publish reports a store that assigns ids with gaps", async () => {
  class Broken extends LaterStore {
    override async append(append: Append): Promise<number> {
      return await super.append(append) + 1;
    }
  }
  const store = new Broken();
  const bus = new MessageBus({ store, clock: new TestClock() });
  const code = codeOfRejection(bus.publish("foo", "a"));
  await store.answer();
  assertEquals(await code, "internal");
});

Deno.test("MessageBus.pull answers after the store has noted the position, and hands out the message once", async () => {
  const { bus, store } = setUp();
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  const pulled = bus.pull("foo");
  assertEquals(store.waiting, ["advance foo to 1"]);
  assertEquals(await stateOf(pulled), "pending");
  assertEquals(await bus.pull("foo"), undefined);
  await store.answer();
  assertEquals((await pulled)?.text(), "a");
});

Deno.test("MessageBus.delete takes effect after the store has answered", async () => {
  const { bus, store } = setUp();
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  const reasons: string[] = [];
  bus.subscribe("foo", { onEnd: (_, reason) => reasons.push(reason) });
  const deleted = bus.delete("foo");
  assertEquals({ length: bus.topic("foo")?.length, reasons: [...reasons] }, { length: 1, reasons: [] });
  await store.answer();
  assertEquals(await deleted, true);
  assertEquals({ topic: bus.topic("foo"), reasons }, { topic: undefined, reasons: ["deleted"] });
  assertEquals(store.kept, { topics: 0, messages: 0 });
});

Deno.test("MessageBus.delete that the store refuses has not happened", async () => {
  const { bus, store } = setUp();
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  const deleted = assertRejects(() => bus.delete("foo"), Error, "the disk is full");
  await store.refuse();
  await deleted;
  const next = bus.publish("foo", "b");
  await store.answer();
  assertEquals((await next).id, 1);
});

Deno.test("MessageBus.delete while an append is on its way deletes what was appended, too", async () => {
  const { bus, store } = setUp();
  const first = bus.publish("foo", "a");
  const deleted = bus.delete("foo");
  assertEquals(store.waiting, ["append 1 to foo", "remove foo"]);
  await store.answerAll();
  assertEquals((await first).id, 0);
  assertEquals(await deleted, true);
  const { topics, messages, bytes } = bus.totals();
  assertEquals({ topics, messages, bytes }, { topics: 0, messages: 0, bytes: 0 });
  assertEquals(store.kept, { topics: 0, messages: 0 });
});

Deno.test("MessageBus.ack and pull in a topic that is being deleted are answered when it is gone, or the store knows", async () => {
  for (const refused of [false, true]) {
    const { bus, store } = setUp();
    const published = bus.publish("foo", ["a", "b"]);
    await store.answer();
    await published;
    const leasing = bus.pull("foo", { group: "g", leaseMs: 30_000 });
    await store.answer();
    const { lease } = (await leasing)!;
    const deleted = settled(bus.delete("foo"));
    const acked = bus.ack(lease!);
    const pulled = settled(bus.pull("foo"));
    assertEquals(store.waiting, ["remove foo"]);
    assertEquals([await stateOf(acked), await stateOf(pulled)], ["pending", "pending"]);
    if (!refused) await store.answer();
    else {
      await store.refuse();
      assertEquals(store.waiting.toSorted(), ["advance foo g to 1, 0 done", "advance foo to 1"]);
      assertEquals(await stateOf(acked), "pending");
      await store.answerAll();
    }
    await Promise.all([deleted, pulled]);
    assertEquals(await acked, { done: [lease!], unknown: [] });
    await bus.close();
  }
});

Deno.test("MessageBus.publish to a topic that is being deleted waits, and opens the next topic of that name", async () => {
  const { bus, store } = setUp();
  const first = bus.publish("foo", "a");
  await store.answer();
  const { cursor } = await first;
  const deleted = bus.delete("foo");
  const second = bus.publish("foo", "b");
  assertEquals(store.waiting, ["remove foo"]);
  await store.answer();
  assertEquals(await deleted, true);
  assertEquals(store.waiting, ["append 1 to foo"]);
  await store.answer();
  const receipt = await second;
  assertEquals(receipt.id, 0);
  assert(receipt.cursor.split("@")[1] !== cursor.split("@")[1]);
  assertEquals(store.kept, { topics: 1, messages: 1 });
});

Deno.test("MessageBus.publish to a topic whose deletion fails goes on with its ids", async () => {
  const { bus, store } = setUp();
  const first = bus.publish("foo", "a");
  await store.answer();
  await first;
  const deleted = settled(bus.delete("foo"));
  const second = bus.publish("foo", "b");
  await store.refuse();
  await deleted;
  await store.answer();
  assertEquals((await second).id, 1);
});

Deno.test("MessageBus.delete twice at once asks the store once, and says yes once", async () => {
  const { bus, store } = setUp();
  const first = bus.publish("foo", "a");
  await store.answer();
  await first;
  const deleted = [bus.delete("foo"), bus.delete("foo")];
  assertEquals(store.waiting, ["remove foo"]);
  await store.answer();
  assertEquals(await Promise.all(deleted), [true, false]);
});

Deno.test("MessageBus.publish to a topic that is being deleted comes before later ones, though the first was refused", async () => {
  const { bus, store } = setUp();
  const first = settled(bus.publish("foo", "a"));
  const deleted = bus.delete("foo");
  const second = bus.publish("foo", "b");
  await store.refuse();
  await first;
  const third = bus.publish("foo", "c");
  await store.answer();
  assertEquals(await deleted, true);
  await store.answerAll();
  assertEquals([(await second).id, (await third).id], [0, 1]);
});

Deno.test("MessageBus.delete that the store refuses leaves no topic behind whose first publish was refused meanwhile", async () => {
  const { bus, store } = setUp();
  const work = [settled(bus.publish("foo", "a")), settled(bus.delete("foo"))];
  await store.refuse();
  await store.refuse();
  await Promise.all(work);
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.publish that is answered after its topic was deleted brings nothing back", async () => {
  class Hasty extends LaterStore {
    override remove(): void {}
  }
  const store = new Hasty();
  const bus = new MessageBus({ store, clock: new TestClock() });
  const first = bus.publish("foo", "a");
  assertEquals(await bus.delete("foo"), true);
  await store.answer();
  assertEquals((await first).id, 0);
  const { topics, messages, bytes, published } = bus.totals();
  assertEquals({ topics, messages, bytes, published }, { topics: 0, messages: 0, bytes: 0, published: 0 });
});

Deno.test("MessageBus.get notes the position in a synchronous store, and only when it moves", () => {
  const noted: string[] = [];
  const store = Object.assign(new MemoryStore(), {
    note: ({ name }: TopicInfo, { next }: GroupChange) => void noted.push(`${name} ${next}`),
  });
  const bus = new MessageBus({ store, clock: new TestClock() });
  bus.put("foo", "a");
  bus.put("foo", "b");
  for (let i = 0; i < 3; i++) bus.get("foo");
  bus.get("bar");
  assertEquals(noted, ["foo 1", "foo 2"]);
});

Deno.test("MessageBus never forgets an idle topic that is being deleted, which the delete does", async () => {
  const { bus, store, clock } = setUp({ topicIdleMs: 1000, ttlMs: 1000 });
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  const deleted = bus.delete("foo");
  clock.tick(10_000);
  assertEquals(store.waiting, ["remove foo"]);
  await store.answer();
  assertEquals(await deleted, true);
});

Deno.test("MessageBus never forgets an idle topic with an append on its way", async () => {
  const { bus, store, clock } = setUp({ topicIdleMs: 1000 });
  const receipt = bus.publish("foo", "a");
  clock.tick(10_000);
  await store.answer();
  assertEquals((await receipt).id, 0);
  assertEquals(bus.topic("foo")?.seq, 1);
});

Deno.test("MessageBus asks the store to remove an idle topic it forgets", async () => {
  const { bus, store, clock } = setUp({ topicIdleMs: 1000, ttlMs: 1000 });
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  clock.tick(2000);
  await store.answerAll();
  assertEquals(bus.topics(), []);
  assertEquals(store.kept, { topics: 0, messages: 0 });
});

Deno.test("MessageBus keeps an idle topic that the store refuses to remove, and asks again later", async () => {
  const { bus, store, clock } = setUp({ topicIdleMs: 1000, ttlMs: 1000 });
  const receipt = bus.publish("foo", "a");
  await store.answer();
  await receipt;
  clock.tick(2000);
  await store.refuse();
  assertEquals(bus.topics().length, 1);
  clock.tick(2000);
  await store.answerAll();
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.close closes the store", async () => {
  const { bus, store } = setUp();
  assertEquals(store.closed, false);
  await bus.close();
  assertEquals(store.closed, true);
});

Deno.test("MessageBus.publish on its way when the bus closes is acknowledged if the store still answers", async () => {
  const { bus, store } = setUp();
  const receipt = bus.publish("foo", "a");
  await bus.close();
  await store.answer();
  assertEquals((await receipt).id, 0);
});

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("answer" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refuse" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("answerAll" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pull" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const) }) },
);

Deno.test("MessageBus over a store that answers later and refuses: gapless ids in the order of the calls, no limit exceeded", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.constantFrom("old", "new"), async (steps, discard) => {
      const store = new LaterStore();
      const bus = new MessageBus({ store, clock: new TestClock(), maxMessages: 4, discard });
      const acknowledged: { call: number; id: number; count: number; epoch: string }[] = [];
      const work: Promise<unknown>[] = [];
      const pulled = new Set<string>();
      for (const [call, step] of steps.entries()) {
        if (step.kind === "publish") {
          work.push(settled(
            bus.publish("foo", Array(step.count).fill("hi")).then(({ id, count, cursor }) => {
              acknowledged.push({ call, id, count, epoch: cursor.split("@")[1]! });
            }),
          ));
        } else if (step.kind === "pull") {
          work.push(settled(
            bus.pull("foo").then((message) => {
              if (message === undefined) return;
              assert(!pulled.has(message.cursor), `${message.cursor} was pulled twice`);
              pulled.add(message.cursor);
            }),
          ));
        } else if (step.kind === "delete") {
          work.push(settled(bus.delete("foo")));
        } else if (store.waiting.length > 0) {
          await store[step.kind]();
        }
        const { length = 0 } = bus.topic("foo") ?? {};
        assert(length <= 4, `${length} messages`);
      }
      while (store.waiting.length > 0) await store.answerAll();
      await Promise.all(work);
      const byEpoch = Map.groupBy(acknowledged, ({ epoch }) => epoch);
      for (const receipts of byEpoch.values()) {
        let next = 0;
        let lastCall = -1;
        for (const { call, id, count } of receipts.sort((a, b) => a.id - b.id)) {
          assertEquals(id, next);
          assert(call > lastCall, "out of order");
          lastCall = call;
          next = id + count;
        }
      }
      const topic = bus.topic("foo");
      if (topic !== undefined) {
        const last = byEpoch.get(topic.cursor.split("@")[1]!)!.at(-1)!;
        assertEquals(topic.seq, last.id + last.count);
      }
      assertEquals(bus.totals().bytes, topic?.bytes ?? 0);
      assert((topic?.bytes ?? 0) >= (topic?.length ?? 0) * MESSAGE_OVERHEAD_BYTES);
    }),
    { numRuns: 500 },
  );
});

/** Resolves whether `promise` resolves or rejects. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await Promise.allSettled([promise]);
}

/** A bus that is asking its store to remove an idle topic, whose message 0 has expired. */
async function setUpRemoval() {
  const { store, clock, bus } = setUp({ ttlMs: 1000, topicIdleMs: 1000 });
  const receipt = bus.publish("foo", "a");
  await store.answer();
  const { cursor } = await receipt;
  clock.tick(2000);
  assertEquals(store.waiting, ["remove foo"]);
  const again = async () => {
    await store.answer();
    const receipt = bus.publish("foo", "b");
    await store.answer();
    await receipt;
  };
  return { store, bus, cursor, again };
}

Deno.test("MessageBus.subscribe while an idle topic is being removed gives the next one of its name", async () => {
  const { bus, cursor, again } = await setUpRemoval();
  const subscription = bus.subscribe("foo", { since: parseCursor(cursor)! });
  await again();
  assertEquals(deliveriesOf(subscription), ["caught-up", "foo 0"]);
});

Deno.test("MessageBus.subscribe while an idle topic is being removed tells what is gone of it", async () => {
  const { store, bus } = await setUpRemoval();
  const subscription = bus.subscribe("foo", { since: { next: 0 } });
  await store.answer();
  assertEquals(deliveriesOf(subscription), ["gap foo 0-0 expired", "caught-up"]);
});

Deno.test("MessageBus.subscribe while an idle topic is being removed tells a reset if the next one came before", async () => {
  const { bus, again } = await setUpRemoval();
  const subscription = bus.subscribe("foo", { since: { next: 0 } });
  await again();
  assertEquals(deliveriesOf(subscription), ["gap foo null-null reset", "caught-up", "foo 0"]);
});

Deno.test("Subscription.cursor knows no topic whose first publish is refused", async () => {
  const { bus, store } = setUp();
  const early = bus.subscribe("foo");
  const receipt = settled(bus.publish("foo", "a"));
  const late = bus.subscribe("foo");
  await store.refuse();
  await receipt;
  assertEquals([early.cursor, late.cursor], ["0", "0"]);
});

Deno.test("MessageBus.publish counts what is on its way against the limits with discard old, too", async () => {
  const bus = new MessageBus({ store: new LaterStore(), clock: new TestClock(), maxMessages: 2 });
  void Promise.all([bus.publish("foo", "a"), bus.publish("foo", "b")]);
  assertEquals(await codeOfRejection(bus.publish("foo", "c")), "topic_full");
});
