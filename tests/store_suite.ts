/**
 * The tests that every store passes.
 *
 * @module
 */

import { MessageBus } from "../lib/bus/bus.ts";
import { retainedBytes } from "../lib/bus/limits.ts";
import type {
  Append,
  DelayedMessage,
  GroupChange,
  Store,
  Stored,
  StoredTopic,
  StoreListener,
  UnackedMessage,
} from "../lib/bus/store.ts";
import { epochOf, type Message, type MessageInit, type TopicInfo } from "../lib/message.ts";
import { codeOfRejection } from "./bus/error_code.ts";
import { TestClock } from "./bus/test_clock.ts";
import { assert, assertEquals } from "./deps.ts";

const NO_COUNTS = { acked: 0, dead: 0, lost: 0 };
/** Later than any store here was made: of what was before that nothing need be kept. */
const NEWEST_MS = Date.now() + 86_400_000;
const CREATED_MS = Date.parse("2018-03-25T13:18:38.732Z");

function topicOf(name: string, createdMs = CREATED_MS): TopicInfo {
  return { name, ttlMs: 60_000, createdMs, epoch: epochOf(createdMs) };
}

function appendOf(topic: TopicInfo, expectedId: number, ...payloads: string[]): Append {
  const encoder = new TextEncoder();
  return { topic, expectedId, payloads: payloads.map((payload) => encoder.encode(payload)), createdMs: CREATED_MS };
}

async function drainOf(bus: MessageBus, topic: string): Promise<string[]> {
  const texts: string[] = [];
  for (let message = await bus.pull(topic); message !== undefined; message = await bus.pull(topic)) {
    texts.push(`${message.id} ${message.text()}`);
  }
  return texts;
}

/** Nobody else uses the store. */
const ALONE: StoreListener = {
  appended: () => assert(false, "somebody else has appended"),
  removed: () => assert(false, "somebody else has removed"),
};

/** A process restart: resolves to a store that has what was acknowledged, and is not open yet. */
export type Reopen = (store: Store) => Store | Promise<Store>;

/** Registers the tests for the stores that `make` makes, each one empty; `reopen` is given for those that keep anything. */
export function testStore(name: string, make: () => Store | Promise<Store>, reopen?: Reopen): void {
  const testClosed = (behaviour: string, run: (store: Store) => Promise<void>) =>
    Deno.test(`${name}.${behaviour}`, async () => {
      const store = await make();
      try {
        await run(store);
      } finally {
        await store.close();
      }
    });
  const test = (behaviour: string, run: (store: Store) => Promise<void>) =>
    testClosed(behaviour, async (store) => {
      await store.open(ALONE);
      await run(store);
    });
  const busOf = (store: Store) => MessageBus.open({ store, clock: new TestClock() });

  test("append answers the id of the first message, from 0 on, without gaps", async (store) => {
    const topic = topicOf("foo");
    assertEquals(await store.append(appendOf(topic, 0, "a")), 0);
    assertEquals(await store.append(appendOf(topic, 1, "b", "c", "d")), 1);
    assertEquals(await store.append(appendOf(topic, 4, "")), 4);
  });

  test("append counts per topic", async (store) => {
    await store.append(appendOf(topicOf("foo"), 0, "a"));
    assertEquals(await store.append(appendOf(topicOf("bar", CREATED_MS + 1), 0, "a")), 0);
  });

  test("append answers appends that were not awaited in their order", async (store) => {
    const topic = topicOf("foo");
    const answers = [0, 1, 2, 3].map((id) => store.append(appendOf(topic, id, "a")));
    assertEquals(await Promise.all(answers), [0, 1, 2, 3]);
  });

  test("append answers at once exactly if the store is synchronous", async (store) => {
    const answer = store.append(appendOf(topicOf("foo"), 0, "a"));
    assertEquals(typeof answer === "number", store.synchronous);
    await answer;
  });

  test("append with exact gets the id that is expected, or is refused with seq_mismatch and takes none", async (store) => {
    const topic = topicOf("foo");
    const exact = (expectedId: number, ...payloads: string[]) =>
      store.append({ ...appendOf(topic, expectedId, ...payloads), exact: true });
    assertEquals(await exact(0, "a", "b"), 0);
    assertEquals(await exact(2, "c"), 2);
    // A store that answers at once has refused nothing that the bus counts on.
    if (!store.synchronous) {
      for (const id of [0, 2, 4]) assertEquals(await codeOfRejection(Promise.resolve(exact(id, "x"))), "seq_mismatch");
    }
    assertEquals(await store.append(appendOf(topic, 3, "d")), 3);
  });

  test("append takes what is said of the payloads, and what tells them from others", async (store) => {
    const topic = topicOf("foo");
    const attributes = { contentType: "text/plain", headers: { "a": "é", "msgbus-reply-to": "x" }, key: "k" };
    const idempotency = { key: "k", fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 120_000 };
    assertEquals(await store.append({ ...appendOf(topic, 0, "a"), ttlMs: 0, attributes, idempotency }), 0);
    assertEquals(await store.append({ ...appendOf(topic, 1, "b"), ttlMs: 5, attributes }), 1);
  });

  test("delay keeps messages of topics that it may never have seen, until cancel or an append of the token", async (store) => {
    const topic = topicOf("foo");
    const delayed = (token: string): DelayedMessage => {
      return { topic, token, dueMs: CREATED_MS + 1000, payload: new Uint8Array(3), attributes: { key: "k" } };
    };
    for (const token of ["a", "b", "c"]) await store.delay(delayed(token));
    await store.cancel(topic, "b");
    assertEquals(await store.append(appendOf(topic, 0, "x")), 0);
    assertEquals(await store.append({ ...appendOf(topic, 1, "y"), scheduled: "a" }), 1);
    await store.remove(topic, CREATED_MS);
    assertEquals(await store.append(appendOf(topicOf("foo", CREATED_MS + 1), 0, "z")), 0);
  });

  test("delay answers at once exactly if the store is synchronous", async (store) => {
    const topic = topicOf("foo");
    const answers = [
      store.delay({ topic, token: "a", dueMs: CREATED_MS, payload: new Uint8Array() }),
      store.cancel(topic, "a"),
    ];
    assertEquals(answers.map((answer) => answer === undefined), [store.synchronous, store.synchronous]);
    await Promise.all(answers);
  });

  test("note is accepted for any group of the topic, one change after another", async (store) => {
    const topic = topicOf("foo");
    await store.append(appendOf(topic, 0, "a", "b"));
    await store.note(topic, { group: "", next: 1, unacked: [], done: [], counts: NO_COUNTS });
    await store.note(topic, { group: "", next: 2, unacked: [{ id: 1, attempt: 1 }], done: [], counts: NO_COUNTS });
    await store.note(topic, { group: "", next: 2, unacked: [], done: [1], counts: NO_COUNTS });
    await store.note(topic, {
      group: "workers",
      next: 1,
      unacked: [{ id: 0, attempt: 1, notBeforeMs: 5 }],
      done: [],
      counts: NO_COUNTS,
    });
  });

  test("forget of a group that it has noted, or never heard of, does nothing else", async (store) => {
    const topic = topicOf("foo");
    await store.append(appendOf(topic, 0, "a", "b"));
    await store.note(topic, { group: "workers", next: 1, unacked: [], done: [], counts: NO_COUNTS });
    await store.forget(topic, "workers");
    await store.forget(topic, "nobody");
    assertEquals(await store.append(appendOf(topic, 2, "c")), 2);
  });

  test("remove lets a topic of the same name begin at id 0", async (store) => {
    const topic = topicOf("foo");
    await store.append(appendOf(topic, 0, "a", "b"));
    await store.remove(topic, CREATED_MS);
    assertEquals(await store.append(appendOf(topicOf("foo", CREATED_MS + 1), 0, "a")), 0);
  });

  test("remove of a topic that it never saw, or removed already, does nothing", async (store) => {
    const topic = topicOf("foo");
    await store.remove(topic, CREATED_MS);
    await store.append(appendOf(topic, 0, "a"));
    await store.remove(topic, CREATED_MS);
    await store.remove(topic, CREATED_MS);
  });

  test("close twice does no more than once", async (store) => {
    await store.close();
    await store.close();
  });

  testClosed("durability is what receipts say", async (store) => {
    await using bus = await busOf(store);
    assertEquals((await bus.publish("foo", "a")).durability, store.durability);
  });

  testClosed(
    "append under a bus: publishes that were not awaited get ids and are pulled in their order",
    async (store) => {
      await using bus = await busOf(store);
      const receipts = await Promise.all([
        bus.publish("foo", "a"),
        bus.publish("bar", "x"),
        bus.publish("foo", ["b", "c"]),
        bus.publish("foo", "d"),
      ]);
      assertEquals(receipts.map(({ topic, id }) => `${topic} ${id}`), ["foo 0", "bar 0", "foo 1", "foo 3"]);
      assertEquals(await drainOf(bus, "foo"), ["0 a", "1 b", "2 c", "3 d"]);
      assertEquals(await drainOf(bus, "bar"), ["0 x"]);
    },
  );

  testClosed("append under a bus: a subscription sees what was published, in order", async (store) => {
    await using bus = await busOf(store);
    const subscription = bus.subscribe("foo");
    await bus.publish("foo", "a");
    await bus.publish("foo", ["b", "c"]);
    const got: (Message | undefined)[] = [subscription.take(), subscription.take(), subscription.take()];
    assertEquals(got.map((message) => message?.text()), ["a", "b", "c"]);
  });

  testClosed("delay under a bus: what is due comes in order, before what is published later", async (store) => {
    const clock = new TestClock();
    await using bus = await MessageBus.open({ store, clock });
    const messages = [["b", 20], ["a", 10], ["c", 20]] as const;
    await Promise.all(messages.map(([payload, delayMs]) => bus.schedule("foo", payload, { delayMs })));
    clock.stall(100);
    assertEquals((await bus.publish("foo", "d")).id, 3);
    assertEquals(await drainOf(bus, "foo"), ["0 a", "1 b", "2 c", "3 d"]);
  });

  testClosed("cancel under a bus: what was taken back is never published", async (store) => {
    const clock = new TestClock();
    await using bus = await MessageBus.open({ store, clock });
    const { token } = await bus.schedule("foo", "a", { delayMs: 10 });
    assertEquals([await bus.cancel("foo", token), await bus.cancel("foo", token)], [true, false]);
    clock.tick(1000);
    assertEquals((await bus.publish("foo", "b")).id, 0);
  });

  testClosed("append under a bus: a publish is known as a repeat by its key", async (store) => {
    await using bus = await busOf(store);
    const publish = () => bus.publish("foo", "a", { idempotencyKey: "k" });
    const receipts = [...await Promise.all([publish(), publish()]), await publish()];
    assertEquals(receipts.map(({ id, duplicate }) => [id, duplicate]), [[0, undefined], [0, true], [0, true]]);
    assertEquals(await drainOf(bus, "foo"), ["0 a"]);
  });

  testClosed("note under a bus: of many who pull at once, one gets the message", async (store) => {
    await using bus = await busOf(store);
    await bus.publish("foo", "a");
    const pulled = await Promise.all([bus.pull("foo"), bus.pull("foo"), bus.pull("foo")]);
    assertEquals(pulled.filter((message) => message !== undefined).length, 1);
  });

  testClosed(
    "remove under a bus: a deleted topic is gone, and the next one of its name begins at id 0",
    async (store) => {
      await using bus = await busOf(store);
      await bus.publish("foo", ["a", "b"]);
      assertEquals(await bus.delete("foo"), true);
      assertEquals(await bus.delete("foo"), false);
      assertEquals(await bus.pull("foo"), undefined);
      assertEquals((await bus.publish("foo", "c")).id, 0);
      assertEquals(await drainOf(bus, "foo"), ["0 c"]);
    },
  );

  testClosed(
    "append under a bus: what is published while the topic is being deleted opens the next one",
    async (store) => {
      await using bus = await busOf(store);
      await bus.publish("foo", ["a", "b"]);
      const [deleted, receipt] = await Promise.all([bus.delete("foo"), bus.publish("foo", "c")]);
      assertEquals({ deleted, id: receipt.id }, { deleted: true, id: 0 });
      assertEquals(await drainOf(bus, "foo"), ["0 c"]);
    },
  );

  test("drop of messages that a topic has had, once and again, leaves the ids as they were", async (store) => {
    const topic = topicOf("foo");
    await store.append(appendOf(topic, 0, "a", "b", "c"));
    for (const before of [1, 1, 3]) store.drop(topic, { before, ids: [], lostMs: CREATED_MS, limit: undefined });
    assertEquals(await store.append(appendOf(topic, 3, "d")), 3);
  });

  if (reopen !== undefined) testKeeping(test, reopen);
}

/** What was acknowledged, as a process finds it that begins again. */
async function keptBy(store: Store, reopen: Reopen): Promise<Stored & { store: Store }> {
  const again = await reopen(store);
  return { ...await again.open(ALONE), store: again };
}

function topicIn({ topics }: Stored, name: string): StoredTopic {
  return topics.find(({ info }) => info.name === name)!;
}

function idsOf({ index }: StoredTopic): number[] {
  return [...index.ids];
}

async function textsOf(store: Store, { info, index: { ids } }: StoredTopic): Promise<string[]> {
  if (ids.length === 0) return [];
  const messages = await store.read(info, { first: ids[0]!, last: ids.at(-1)! });
  return messages.map(({ id, payload }) => `${id} ${new TextDecoder().decode(payload)}`);
}

/** Without what is not set. */
function plain<T extends object>(value: T): object {
  return JSON.parse(JSON.stringify(value));
}

/** Registers the tests of what is there again after a restart. */
function testKeeping(
  test: (behaviour: string, run: (store: Store) => Promise<void>) => void,
  reopen: Reopen,
): void {
  const restarted = (
    behaviour: string,
    prepare: (store: Store) => Promise<void>,
    judge: (kept: Stored & { store: Store }) => Promise<void> | void,
  ) =>
    test(`open after a restart: ${behaviour}`, async (store) => {
      await prepare(store);
      let kept = await keptBy(store, reopen);
      try {
        await judge(kept);
        // What was found must be found by the next one, too.
        kept = await keptBy(kept.store, reopen);
        await judge(kept);
      } finally {
        await kept.store.close();
      }
    });
  const foo = topicOf("foo");
  const bar = topicOf("bar", CREATED_MS + 1);
  const attributes = { contentType: "text/plain", headers: { "a": "é", "msgbus-reply-to": "x" }, key: "schlüssel" };
  const noChange: Omit<GroupChange, "group"> = { next: 0, unacked: [], done: [], counts: NO_COUNTS };

  restarted("an empty store is one that was made before, with nothing in it", async () => {}, (kept) => {
    assert(kept.startedMs <= Date.now() && kept.goneFromMs <= kept.startedMs);
    assertEquals([kept.topics, kept.gone], [[], []]);
  });

  restarted("topics are what they were, in the order in which they were made", async (store) => {
    const others = Array.from({ length: 300 }, (_, i) => topicOf(`many/${i}`, CREATED_MS + 10 + i));
    for (const topic of [bar, foo, ...others]) await store.append(appendOf(topic, 0, topic.name));
  }, ({ topics, lastCreatedMs }) => {
    assertEquals(topics.length, 302);
    assertEquals(topics.slice(0, 3).map(({ info }) => info), [bar, foo, topicOf("many/0", CREATED_MS + 10)]);
    assertEquals(topics.at(-1)!.info.name, "many/299");
    assertEquals(lastCreatedMs, CREATED_MS + 10 + 299);
    assert(topics.every(({ next }) => next === 1));
  });

  restarted("messages have their payloads, times and attributes", async (store) => {
    await store.append(appendOf(foo, 0, "a", ""));
    await store.append({ ...appendOf(foo, 2, "c"), createdMs: CREATED_MS + 5, ttlMs: 0, attributes });
    const payloads = [new Uint8Array([0, 255, 10, 13]), new Uint8Array(1024 * 1024).fill(7)];
    await store.append({ ...appendOf(foo, 3), payloads, createdMs: CREATED_MS + 6, ttlMs: 5 });
  }, async ({ store, ...kept }) => {
    const { info, next, index, before, lostMs, limit } = topicIn(kept, "foo");
    assertEquals([next, before, lostMs, limit], [5, 0, -Infinity, undefined]);
    assertEquals([...index.ids], [0, 1, 2, 3, 4]);
    assertEquals([...index.createdMs], [0, 0, 5, 6, 6].map((ms) => CREATED_MS + ms));
    assertEquals([...index.ttlMs], [[2, 0], [3, 5], [4, 5]]);
    const messages = await store.read(info, { first: 0, last: 4 });
    assertEquals(messages.map(({ id, createdMs, ttlMs = info.ttlMs }) => [id, createdMs - CREATED_MS, ttlMs]), [
      [0, 0, 60_000],
      [1, 0, 60_000],
      [2, 5, 0],
      [3, 6, 5],
      [4, 6, 5],
    ]);
    assertEquals(messages.map(({ payload }) => payload.length), [1, 0, 1, 4, 1024 * 1024]);
    assertEquals([...messages[3]!.payload], [0, 255, 10, 13]);
    assertEquals(messages.map((message) => plain(message.attributes ?? {})), [{}, {}, attributes, {}, {}]);
    const countOf = ({ ttlMs = info.ttlMs, attributes, ...init }: MessageInit) =>
      retainedBytes(info, { ...init, ttlMs, attributes });
    assertEquals([...index.bytes], messages.map(countOf));
  });

  restarted("read gives what is retained of a range, and nothing of another topic", async (store) => {
    await store.append(appendOf(foo, 0, "a", "b", "c", "d", "e", "f"));
    await store.append(appendOf(bar, 0, "x"));
    store.drop(foo, { before: 1, ids: [2, 3], lostMs: CREATED_MS, limit: undefined });
  }, async ({ store, ...kept }) => {
    const read = async (first: number, last: number) =>
      (await store.read(topicIn(kept, "foo").info, { first, last })).map(({ id }) => id);
    assertEquals([await read(0, 9), await read(1, 4), await read(2, 3), await read(5, 5)], [[1, 4, 5], [1, 4], [], [
      5,
    ]]);
  });

  restarted("what was dropped is gone, from the front and from the middle", async (store) => {
    await store.append(appendOf(foo, 0, "a", "b", "c"));
    await store.append({ ...appendOf(foo, 3, "d", "e", "f"), ttlMs: 5 });
    const limit = { id: 1, createdMs: CREATED_MS };
    store.drop(foo, { before: 2, ids: [4], lostMs: CREATED_MS, limit });
  }, async ({ store, ...kept }) => {
    const topic = topicIn(kept, "foo");
    assertEquals([topic.next, topic.before, topic.lostMs, plain(topic.limit!)], [6, 2, CREATED_MS, {
      id: 1,
      createdMs: CREATED_MS,
    }]);
    assertEquals([...topic.index.ttlMs], [[3, 5], [5, 5]]);
    assertEquals([idsOf(topic), await textsOf(store, topic)], [[2, 3, 5], ["2 c", "3 d", "5 f"]]);
  });

  restarted("the ids of a topic go on though everything was dropped", async (store) => {
    await store.append(appendOf(foo, 0, "a", "b"));
    store.drop(foo, { before: 2, ids: [], lostMs: CREATED_MS, limit: undefined });
  }, async ({ store, ...kept }) => {
    const { info, next, index } = topicIn(kept, "foo");
    assertEquals(index.ids.length, 0);
    assertEquals(await store.append(appendOf(info, next, "c")), next);
    store.drop(info, { before: next + 1, ids: [], lostMs: CREATED_MS, limit: undefined });
  });

  restarted("groups are where they were, with what they are not done with", async (store) => {
    await store.append(appendOf(foo, 0, "a", "b", "c", "d", "e"));
    const first: UnackedMessage[] = [
      { id: 0, attempt: 1, key: "k" },
      { id: 1, attempt: 2, reason: "because", notBeforeMs: CREATED_MS + 5 },
      { id: 2, attempt: 0, key: "k" },
    ];
    await store.note(foo, { ...noChange, group: "", next: 3, unacked: first, counts: { acked: 1, dead: 2, lost: 3 } });
    await store.note(foo, { ...noChange, group: "größe", next: 5 });
    const second = [{ id: 2, attempt: 1 }, { id: 3, attempt: 1 }, { id: 3, attempt: 3 }, { id: 4, attempt: 1 }];
    const counts = { acked: 4, dead: 5, lost: 6 };
    await store.note(foo, { group: "", next: 5, unacked: second, done: [0, 4], counts });
  }, (kept) => {
    const groups = topicIn(kept, "foo").groups.map((group) => plain(group));
    assertEquals(groups, [
      {
        name: "",
        next: 5,
        unacked: [
          { id: 1, attempt: 2, reason: "because", notBeforeMs: CREATED_MS + 5 },
          { id: 2, attempt: 1 },
          { id: 3, attempt: 3 },
        ],
        counts: { acked: 4, dead: 5, lost: 6 },
      },
      { name: "größe", next: 5, unacked: [], counts: NO_COUNTS },
    ]);
  });

  restarted("the cursor of a group is where it was noted last, though that is before", async (store) => {
    await store.append(appendOf(foo, 0, "a", "b"));
    await store.note(foo, { ...noChange, group: "g", next: 2 });
    await store.note(foo, { ...noChange, group: "g", next: 1, unacked: [{ id: 0, attempt: 1 }] });
  }, (kept) => {
    assertEquals(topicIn(kept, "foo").groups.map(({ next, unacked }) => [next, unacked.length]), [[1, 1]]);
  });

  restarted("a group that was forgotten is not there, and can be made anew", async (store) => {
    await store.append(appendOf(foo, 0, "a"));
    await store.note(foo, { ...noChange, group: "g", next: 1, unacked: [{ id: 0, attempt: 1 }] });
    await store.note(foo, { ...noChange, group: "h", next: 1, unacked: [{ id: 0, attempt: 1 }] });
    await store.forget(foo, "g");
    await store.forget(foo, "h");
    await store.note(foo, { ...noChange, group: "h" });
  }, (kept) => {
    assertEquals(topicIn(kept, "foo").groups.map(({ name, unacked }) => [name, unacked.length]), [["h", 0]]);
  });

  restarted(
    "messages for later are what they were, in the order of the calls, of topics that have no other, too",
    async (store) => {
      const all = { topic: foo, token: "a", dueMs: CREATED_MS + 9, payload: new Uint8Array([1]), ttlMs: 0, attributes };
      const idempotency = { key: "k", fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 120_000 };
      await store.delay({ ...all, idempotency });
      for (const token of ["b", "c", "d"]) {
        await store.delay({ topic: foo, token, dueMs: CREATED_MS + 3, payload: new Uint8Array([2]) });
      }
      await store.cancel(foo, "b");
      await store.delay({ topic: bar, token: "e", dueMs: CREATED_MS, payload: new Uint8Array() });
      assertEquals(await store.append({ ...appendOf(bar, 0, ""), scheduled: "e" }), 0);
    },
    (kept) => {
      const { info, next, delayed } = topicIn(kept, "foo");
      assertEquals([info, next, delayed.map(({ token }) => token)], [foo, 0, ["a", "c", "d"]]);
      const [{ payload, topic, idempotency: _, ...a }] = delayed as [DelayedMessage];
      assertEquals([...payload], [1]);
      assertEquals(topic, foo);
      assertEquals(plain(a), { token: "a", dueMs: CREATED_MS + 9, ttlMs: 0, attributes });
      assertEquals([topicIn(kept, "bar").delayed, topicIn(kept, "bar").next], [[], 1]);
    },
  );

  restarted(
    "publishes are remembered with what they were answered, those for later though they were published",
    async (store) => {
      const idempotency = (key: string) => ({ key, fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 1e12 });
      await store.append({ ...appendOf(foo, 0, "a", "b"), idempotency: idempotency("ab") });
      const later = { topic: foo, dueMs: CREATED_MS, payload: new Uint8Array([99]) };
      await store.delay({ ...later, token: "t", idempotency: idempotency("c") });
      await store.append({ ...appendOf(foo, 2, "c"), scheduled: "t" });
      store.drop(foo, { before: 3, ids: [], lostMs: CREATED_MS, limit: undefined });
    },
    (kept) => {
      const idempotency = { fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 1e12 };
      assertEquals(topicIn(kept, "foo").answers.map((answer) => plain(answer)), [
        { idempotency: { key: "ab", ...idempotency }, appended: { firstId: 0, count: 2 } },
        { idempotency: { key: "c", ...idempotency }, delayed: { token: "t", dueMs: CREATED_MS } },
      ]);
    },
  );

  restarted(
    "a removed topic is gone with everything it had, and another one of its name has nothing of it",
    async (store) => {
      for (const topic of [foo, bar, topicOf("baz", CREATED_MS + 2)]) {
        const idempotency = { key: "k", fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 1e12 };
        await store.append({ ...appendOf(topic, 0, "a", "b"), idempotency });
        await store.note(topic, { ...noChange, group: "g", next: 1, unacked: [{ id: 0, attempt: 1 }] });
        await store.delay({ topic, token: topic.name, dueMs: CREATED_MS, payload: new Uint8Array() });
      }
      await store.remove(bar, NEWEST_MS);
      await store.remove(foo, NEWEST_MS + 1);
      await store.append(appendOf(topicOf("foo", CREATED_MS + 3), 0, "z"));
    },
    async ({ store, ...kept }) => {
      assertEquals(kept.topics.map(({ info }) => `${info.name} ${info.createdMs - CREATED_MS}`), ["baz 2", "foo 3"]);
      assertEquals(kept.gone, [{ name: "bar", newestMs: NEWEST_MS }, { name: "foo", newestMs: NEWEST_MS + 1 }]);
      assertEquals(kept.lastCreatedMs, CREATED_MS + 3);
      const topic = topicIn(kept, "foo");
      const { groups, delayed, answers } = topic;
      assertEquals([groups, delayed, answers, await textsOf(store, topic)], [[], [], [], ["0 z"]]);
      assertEquals(topicIn(kept, "baz").groups.length, 1);
    },
  );

  restarted("what an append settles, drops and is the time of, it does in the same step", async (store) => {
    const dead = topicOf("foo/-dead", CREATED_MS + 1);
    await store.append(appendOf(foo, 0, "a", "b"));
    await store.note(foo, {
      ...noChange,
      group: "g",
      next: 2,
      unacked: [{ id: 0, attempt: 5 }, { id: 1, attempt: 1 }],
    });
    const change = { group: "g", next: 2, unacked: [], done: [0], counts: { acked: 0, dead: 1, lost: 0 } };
    await store.append({ ...appendOf(dead, 0, "a"), settles: { topic: foo, change } });
    await store.append(appendOf(dead, 1, "b"));
    await store.append({ ...appendOf(foo, 2, "a"), drops: { topic: dead, id: 0 } });
  }, async ({ store, ...kept }) => {
    const [{ unacked, counts }] = topicIn(kept, "foo").groups as [StoredTopic["groups"][0]];
    assertEquals([unacked.map(({ id }) => id), plain(counts)], [[1], { acked: 0, dead: 1, lost: 0 }]);
    assertEquals(await textsOf(store, topicIn(kept, "foo/-dead")), ["1 b"]);
    assertEquals(await textsOf(store, topicIn(kept, "foo")), ["0 a", "1 b", "2 a"]);
  });

  restarted("an append that was refused has left nothing", async (store) => {
    await store.append(appendOf(foo, 0, "a"));
    await store.note(foo, { ...noChange, group: "g", next: 1, unacked: [{ id: 0, attempt: 5 }] });
    await store.delay({ topic: foo, token: "t", dueMs: CREATED_MS, payload: new Uint8Array() });
    const change = { group: "g", next: 1, unacked: [], done: [0], counts: { acked: 0, dead: 1, lost: 0 } };
    const idempotency = { key: "k", fingerprint: "0123456789abcdef", untilMs: CREATED_MS + 1e12 };
    const refused = {
      ...appendOf(foo, 7, "x"),
      exact: true,
      settles: { topic: foo, change },
      idempotency,
      scheduled: "t",
    };
    assertEquals(await codeOfRejection(Promise.try(() => store.append(refused))), "seq_mismatch");
  }, async ({ store, ...kept }) => {
    const topic = topicIn(kept, "foo");
    assertEquals([topic.next, await textsOf(store, topic)], [1, ["0 a"]]);
    assertEquals([topic.groups[0]!.unacked.length, topic.delayed.length, topic.answers], [1, 1, []]);
  });

  test("open under a bus after a restart: everything goes on", async (store) => {
    await store.close();
    const clock = new TestClock();
    const ids: number[] = [];
    let last = await reopen(store);
    for (let life = 0; life < 3; life++) {
      await using bus = await MessageBus.open({ store: last, clock, ttlMs: 0 });
      ids.push((await bus.publish("foo", `${life}`)).id);
      const leased = await bus.pull("foo", { group: "g", leaseMs: 10_000 });
      assertEquals([leased?.text(), leased?.attempt], ["0", life + 1]);
      await bus.close();
      last = await reopen(last);
    }
    assertEquals(ids, [0, 1, 2]);
    await last.close();
  });
}
