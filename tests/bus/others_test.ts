import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Append, Store, StoreListener } from "../../lib/bus/store.ts";
import { epochOf, type Message, type TopicInfo } from "../../lib/message.ts";
import { assert, assertEquals, assertThrows, fc } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
import { codeOfRejection } from "./error_code.ts";
import { type Fate, RemoteLog, RemoteStore } from "./remote_store.ts";
import { TestClock } from "./test_clock.ts";

/** A node of a replicated log, with a bus on it. */
class Node {
  readonly clock: TestClock;
  readonly store: RemoteStore;
  readonly bus: MessageBus;

  private constructor(store: RemoteStore, bus: MessageBus, clock: TestClock) {
    this.store = store;
    this.bus = bus;
    this.clock = clock;
  }

  static async join(log: RemoteLog, options: BusOptions = {}): Promise<Node> {
    const clock = new TestClock();
    const store = new RemoteStore(log);
    const bus = await MessageBus.open({ store, clock, ttlMs: 0, ...options });
    return new Node(store, bus, clock);
  }

  async texts(topic: string): Promise<string[]> {
    return (await this.bus.browse(topic))?.messages.map((message) => `${message.id} ${message.text()}`) ?? [];
  }
}

async function setUp(options: BusOptions = {}) {
  const log = new RemoteLog(0);
  const a = await Node.join(log, options);
  const b = await Node.join(log, options);
  /** Everything that is on its way arrives. */
  const settle = async () => {
    do {
      for (const { store, clock } of [a, b]) {
        await store.settle();
        clock.flush();
      }
      await goOn();
    } while ([a, b].some(({ store, clock }) => store.waiting.length + store.unheard + clock.deferred > 0));
  };
  const through = async <T>(promise: Promise<T>): Promise<T> => {
    promise.catch(() => {});
    await settle();
    return await promise;
  };
  return { log, a, b, settle, through };
}

async function goOn(): Promise<void> {
  for (let i = 0; i < 30; i++) await undefined;
}

Deno.test("what another node appends is there, to be browsed, pulled and subscribed to, in a topic that is made by that", async () => {
  const { a, b, through, settle } = await setUp({ maxTopics: 1 });
  const subscription = b.bus.subscribe("foo");
  const waiting = b.bus.pull("foo", { group: "g", waitMs: 60_000 });
  await through(b.bus.publish("bar", "x"));
  await through(
    a.bus.publish("foo", ["a", "b"], { key: "k", ttlMs: 1000, contentType: "text/plain", headers: { x: "y" } }).catch(
      () => {},
    ),
  );
  assertEquals(b.bus.names(), ["bar"]);
  await through(b.bus.delete("bar"));
  await through(
    a.bus.publish("foo", ["a", "b"], { key: "k", ttlMs: 1000, contentType: "text/plain", headers: { x: "y" } }),
  );
  assertEquals(deliveriesOf(subscription), ["caught-up", "foo 0", "foo 1"]);
  await settle();
  assertEquals((await waiting)?.text(), "a");
  const [ofA, ofB] = [(await a.bus.browse("foo"))!, (await b.bus.browse("foo"))!];
  assertEquals(ofB.next, ofA.next);
  const plain = ({ messages }: { messages: readonly Message[] }) => JSON.stringify(messages);
  assertEquals(plain(ofB), plain(ofA));
});

Deno.test("what another node appends is taken though there are as many topics as there may be", async () => {
  const log = new RemoteLog(0);
  const a = await Node.join(log);
  const b = await Node.join(log, { maxTopics: 0 });
  a.bus.publish("foo", "a");
  await a.store.settle();
  await b.store.settle();
  assertEquals(await b.texts("foo"), ["0 a"]);
});

Deno.test("appends of two nodes get their ids in the order of the log, and both nodes show them so", async () => {
  const { a, b, settle } = await setUp();
  const first = a.bus.publish("foo", "0");
  await settle();
  await first;
  const receipts = [
    a.bus.publish("foo", "3"),
    b.bus.publish("foo", "1"),
    b.bus.publish("foo", "2"),
    a.bus.publish("foo", "4"),
  ];
  b.store.take();
  b.store.take();
  await settle();
  assertEquals((await Promise.all(receipts)).map(({ id }) => id), [3, 1, 2, 4]);
  for (const { texts } of [a, b].map((node) => ({ texts: node.texts("foo") }))) {
    assertEquals(await texts, ["0 0", "1 1", "2 2", "3 3", "4 4"]);
  }
});

Deno.test("a topic that another node deletes is gone, and its subscriptions are told", async () => {
  const { a, b, through } = await setUp();
  await through(a.bus.publish("foo", "a"));
  const ended: string[] = [];
  b.bus.subscribe("foo", { onEnd: (_, reason) => ended.push(reason) });
  const several = b.bus.subscribe("*");
  deliveriesOf(several);
  await through(a.bus.delete("foo"));
  assertEquals([b.bus.names(), ended, deliveriesOf(several)], [[], ["deleted"], ["deleted foo"]]);
  await through(b.bus.publish("foo", "b"));
  assertEquals([await a.texts("foo"), await b.texts("foo")], [["0 b"], ["0 b"]]);
});

Deno.test("a topic that two nodes delete at the same time is deleted once", async () => {
  const { a, b, settle } = await setUp();
  a.bus.publish("foo", "a");
  await settle();
  const ends: string[] = [];
  const several = b.bus.subscribe("*");
  deliveriesOf(several);
  const deleted = [a.bus.delete("foo"), b.bus.delete("foo")];
  await settle();
  assertEquals([await Promise.all(deleted), deliveriesOf(several), ends], [[true, true], ["deleted foo"], []]);
});

Deno.test("a topic that two nodes make at the same time is one, and what was published to both is in it", async () => {
  const { a, b, settle } = await setUp();
  b.clock.tick(1);
  const waiting = b.bus.pull("foo", { group: "g", waitMs: 60_000 });
  const subscription = b.bus.subscribe("foo", { since: "earliest" });
  const [first, second, third] = [a.bus.publish("foo", "a"), b.bus.publish("foo", "b"), b.bus.publish("foo", "c")];
  a.store.take();
  await settle();
  const receipts = [await first, await second, await third];
  assertEquals(receipts.map(({ id }) => id), [0, 1, 2]);
  assertEquals(new Set(receipts.map(({ cursor }) => cursor.split("@")[1])).size, 1);
  assertEquals([await a.texts("foo"), await b.texts("foo")], [["0 a", "1 b", "2 c"], ["0 a", "1 b", "2 c"]]);
  // Who waited for a group of the topic still does, and the group is there.
  assertEquals((await waiting)?.text(), "a");
  assertEquals(deliveriesOf(subscription), ["caught-up", "foo 0", "foo 1", "foo 2"]);
  assertEquals(b.bus.groups("foo").map(({ group }) => group), ["", "g"]);
});

Deno.test("a publish with a condition, or a key, is judged anew when another node has made its topic first", async () => {
  const { a, b, settle } = await setUp();
  b.clock.tick(1);
  const first = a.bus.publish("foo", "a", { idempotencyKey: "k" });
  const conditional = codeOfRejection(b.bus.publish("foo", "b", { ifMatch: { next: 0 } }));
  const repeat = b.bus.publish("foo", "a", { idempotencyKey: "k" });
  const other = codeOfRejection(b.bus.publish("foo", "x", { idempotencyKey: "k" }));
  a.store.take();
  await settle();
  assertEquals(await conditional, "seq_mismatch");
  assertEquals(await other, "idempotency_conflict");
  const { subscribers: _, ...receipt } = await first;
  assertEquals(await repeat, { ...receipt, subscribers: 0, duplicate: true });
  assertEquals(await b.texts("foo"), ["0 a"]);
});

Deno.test("a message for later of a topic that another node makes first is one of that topic", async () => {
  const { a, b, settle, through } = await setUp();
  b.clock.tick(1);
  const first = a.bus.publish("foo", "a");
  const later = b.bus.schedule("foo", "b", { delayMs: 1000 });
  a.store.take();
  await settle();
  await first;
  const { token } = await later;
  assertEquals(b.bus.scheduled("foo").map(({ token }) => token), [token]);
  b.clock.tick(1020);
  await through(goOn());
  assertEquals([await a.texts("foo"), await b.texts("foo")], [["0 a", "1 b"], ["0 a", "1 b"]]);
});

Deno.test("a topic that another node has made for a message for later is that topic", async () => {
  const { a, b, through } = await setUp();
  await through(a.bus.schedule("foo", "later", { delayMs: 1000 }));
  b.clock.tick(1);
  assertEquals(b.bus.topic("foo")?.createdMs, a.bus.topic("foo")?.createdMs);
  await through(b.bus.publish("foo", "b"));
  assertEquals(await a.texts("foo"), ["0 b"]);
});

Deno.test("an append whose answer is lost fails, and its message is there", async () => {
  const { a, b, settle } = await setUp();
  const lost = a.bus.publish("foo", "a").catch((error) => error.message);
  const next = a.bus.publish("foo", "b");
  a.store.take("answer lost");
  await settle();
  assertEquals([await lost, (await next).id], ["timeout", 1]);
  assertEquals([await a.texts("foo"), await b.texts("foo")], [["0 a", "1 b"], ["0 a", "1 b"]]);
});

Deno.test("an append whose answer is lost is known by its key: who repeats it is answered", async () => {
  const { a, settle } = await setUp();
  const publish = () => a.bus.publish("foo", "a", { idempotencyKey: "k" });
  const lost = publish().catch((error) => error.message);
  const waiting = publish();
  a.store.take("answer lost");
  await settle();
  assertEquals(await lost, "timeout");
  for (const repeat of [waiting, publish()]) {
    const { id, duplicate } = await repeat;
    assertEquals({ id, duplicate }, { id: 0, duplicate: true });
  }
  assertEquals(await a.texts("foo"), ["0 a"]);
});

Deno.test("a repeat is known though it comes to another node", async () => {
  const { a, b, through } = await setUp();
  const first = await through(a.bus.publish("foo", ["a", "b"], { idempotencyKey: "k" }));
  const { subscribers: _, ...again } = await b.bus.publish("foo", ["a", "b"], { idempotencyKey: "k" });
  const { subscribers: __, ...receipt } = first;
  assertEquals(again, { ...receipt, duplicate: true });
});

Deno.test("a message for later that two nodes know is published once, and cancelled once", async () => {
  const log = new RemoteLog(0);
  const first = await Node.join(log);
  for (const text of ["a", "b", "c"]) first.bus.schedule("foo", text, { delayMs: 1000 });
  await first.store.settle();
  const nodes = [await Node.join(log), await Node.join(log)] as const;
  const [a, b] = nodes;
  first.store.close();
  const settle = async () => {
    for (let i = 0; i < 5; i++) for (const { store } of nodes) await store.settle();
  };
  const { token } = a.bus.scheduled("foo")[2]!;
  const cancelled = [a.bus.cancel("foo", token), b.bus.cancel("foo", token)];
  await settle();
  assertEquals(await Promise.all(cancelled), [true, false]);
  for (const { clock } of nodes) clock.tick(1020);
  await settle();
  for (const node of nodes) {
    assertEquals(await node.texts("foo"), ["0 a", "1 b"]);
    const { scheduled, scheduledBytes } = node.bus.totals();
    assertEquals([node.bus.scheduled("foo"), scheduled, scheduledBytes], [[], 0, 0]);
    node.clock.tick(5000);
  }
  await settle();
  assertEquals(await a.texts("foo"), ["0 a", "1 b"]);
});

Deno.test("a dead letter whose answer is lost is made once", async () => {
  const { a, settle, through } = await setUp({ maxAttempts: 1 });
  await through(a.bus.publish("foo", "a"));
  const { lease } = (await through(a.bus.pull("foo", { group: "g", leaseMs: 1000 })))!;
  const nacked = a.bus.nack(lease!);
  a.store.take();
  a.store.take("answer lost");
  await settle();
  await nacked;
  a.clock.tick(2000);
  await settle();
  assertEquals(await a.texts("foo/-dead"), ["0 a"]);
  const [, { dead, waiting }] = a.bus.groups("foo") as [unknown, ReturnType<typeof a.bus.groups>[0]];
  assertEquals([dead, waiting], [1, 0]);
});

Deno.test("a dead letter that another node publishes again leaves its topic here, too", async () => {
  const { a, b, settle, through } = await setUp({ maxAttempts: 1 });
  await through(a.bus.publish("foo", "a"));
  await through(a.bus.nack((await through(a.bus.pull("foo", { leaseMs: 1000 })))!.lease!));
  await settle();
  assertEquals(await b.texts("foo/-dead"), ["0 a"]);
  assertEquals(await through(b.bus.redrive("foo")), { redriven: 1, remaining: 0 });
  assertEquals([await a.texts("foo/-dead"), await a.texts("foo")], [[], ["0 a", "1 a"]]);
});

/** A store that a test tells what to tell. */
function toldStore() {
  let listener: StoreListener | undefined;
  const stored = { startedMs: 0, lastCreatedMs: 0, topics: [], gone: [], goneFromMs: 0 };
  const opened = Promise.withResolvers<typeof stored>();
  const store: Store = Object.assign(new RemoteStore(new RemoteLog(0)), {
    open: (given: StoreListener) => {
      listener = given;
      return opened.promise;
    },
  });
  const info: TopicInfo = { name: "foo", ttlMs: 0, createdMs: 7, epoch: epochOf(7) };
  const append = (expectedId: number, text: string, createdMs = 10): Append => {
    return { topic: info, expectedId, payloads: [new TextEncoder().encode(text)], createdMs };
  };
  return { store, append, info, open: () => opened.resolve(stored), listener: () => listener! };
}

Deno.test("what is told while the bus is being opened is there when it is", async () => {
  const { store, append, info, open, listener } = toldStore();
  const opening = MessageBus.open({ store, clock: new TestClock() });
  await goOn();
  listener().appended(append(0, "a"));
  listener().removed(info);
  listener().appended({ ...append(0, "b"), topic: { ...info, createdMs: 8, epoch: epochOf(8) } });
  open();
  const bus = await opening;
  assertEquals((await bus.browse("foo"))!.messages.map((message) => message.text()), ["b"]);
});

Deno.test("a message with a hole before it, or one that is there already, is a bug of the store", async () => {
  const { store, append, open, listener } = toldStore();
  open();
  await MessageBus.open({ store, clock: new TestClock() });
  listener().appended(append(0, "a"));
  for (const id of [0, 2]) {
    assertThrows(() => listener().appended(append(id, "b")), Error, `assigned id ${id} instead of 1`);
  }
});

Deno.test("a message of a node whose clock is behind is not older than the one before it", async () => {
  const { store, append, open, listener } = toldStore();
  open();
  const bus = await MessageBus.open({ store, clock: new TestClock() });
  listener().appended(append(0, "a", 1000));
  listener().appended(append(1, "b", 900));
  assertEquals((await bus.browse("foo"))!.messages.map(({ createdMs }) => createdMs), [1000, 1000]);
});

type Step =
  | {
    readonly do: "publish" | "schedule" | "delete" | "flush" | "heed" | "tick";
    readonly at: 0 | 1;
    readonly topic: string;
    readonly key?: string | undefined;
  }
  | { readonly do: "take"; readonly at: 0 | 1; readonly fate: Fate };
const at = fc.constantFrom(0 as const, 1 as const);
const topic = fc.constantFrom("x", "x", "y");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      at,
      topic,
      key: fc.constantFrom(undefined, undefined, undefined, "k", "l"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("take" as const),
      at,
      fate: fc.constantFrom<Fate>("taken", "taken", "taken", "taken", "refused", "request lost", "answer lost"),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "heed" as const,
        "heed" as const,
        "heed" as const,
        "heed" as const,
        "heed" as const,
        "tick" as const,
        "schedule" as const,
        "delete" as const,
        "flush" as const,
      ),
      at,
      topic,
    }),
  },
);

Deno.test("two buses on one log show the same messages, and each acknowledged publish once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 100, size: "max" }), async (steps) => {
      const { log, a, b, settle } = await setUp();
      const nodes = [a, b] as const;
      const acknowledged: { topic: string; cursor: string; id: number; text: string }[] = [];
      let count = 0;
      b.clock.tick(1);
      for (const step of steps) {
        const { store, bus, clock } = nodes[step.at];
        const text = `${count++}`;
        if (step.do === "take") store.take(step.fate);
        else if (step.do === "heed") store.heed();
        else if (step.do === "flush") clock.flush();
        else if (step.do === "tick") clock.tick(1030);
        else if (step.do === "schedule") bus.schedule(step.topic, text, { delayMs: 1000 }).catch(() => {});
        else if (step.do === "delete") bus.delete(step.topic).catch(() => {});
        else {
          const payload = step.key ?? text;
          bus.publish(step.topic, payload, { idempotencyKey: step.key }).then(({ id, cursor }) => {
            acknowledged.push({ topic: step.topic, id, cursor, text: payload });
          }, () => {});
        }
        await goOn();
      }
      await settle();
      for (let i = 0; i < 3; i++) {
        for (const { clock } of nodes) clock.tick(2050);
        await settle();
      }
      assertEquals(a.bus.topics(), b.bus.topics());
      for (const { name, cursor } of a.bus.topics()) {
        const texts = await a.texts(name);
        assertEquals(texts, await b.texts(name));
        assertEquals(texts, log.payloads(name).map((text, id) => `${id} ${text}`));
        const unique = texts.map((text) => text.split(" ")[1]!).filter((text) => /\d/.test(text));
        assertEquals(unique.length, new Set(unique).size, "published twice");
        const epoch = cursor.split("@")[1];
        for (const receipt of acknowledged) {
          if (receipt.topic !== name || receipt.cursor.split("@")[1] !== epoch) continue;
          assert(texts.includes(`${receipt.id} ${receipt.text}`), `${receipt.id} ${receipt.text} is not in ${texts}`);
        }
      }
      const { scheduled, scheduledBytes } = a.bus.totals();
      assertEquals({ scheduled, scheduledBytes }, { scheduled: 0, scheduledBytes: 0 });
    }),
    { numRuns: 1000 },
  );
});
