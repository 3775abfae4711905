/**
 * The tests that every store passes.
 *
 * @module
 */

import { MessageBus } from "../lib/bus/bus.ts";
import type { Append, DelayedMessage, Store } from "../lib/bus/store.ts";
import { epochOf, type Message, type TopicInfo } from "../lib/message.ts";
import { codeOfRejection } from "./bus/error_code.ts";
import { TestClock } from "./bus/test_clock.ts";
import { assertEquals } from "./deps.ts";

const NO_COUNTS = { acked: 0, dead: 0, lost: 0 };
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

/** Registers the tests for the stores that `make` makes, each one empty. */
export function testStore(name: string, make: () => Store | Promise<Store>): void {
  const test = (behaviour: string, run: (store: Store) => Promise<void>) =>
    Deno.test(`${name}.${behaviour}`, async () => {
      const store = await make();
      try {
        await run(store);
      } finally {
        await store.close();
      }
    });
  const busOf = (store: Store) => new MessageBus({ store, clock: new TestClock() });

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

  test("durability is what receipts say", async (store) => {
    await using bus = busOf(store);
    assertEquals((await bus.publish("foo", "a")).durability, store.durability);
  });

  test("append under a bus: publishes that were not awaited get ids and are pulled in their order", async (store) => {
    await using bus = busOf(store);
    const receipts = await Promise.all([
      bus.publish("foo", "a"),
      bus.publish("bar", "x"),
      bus.publish("foo", ["b", "c"]),
      bus.publish("foo", "d"),
    ]);
    assertEquals(receipts.map(({ topic, id }) => `${topic} ${id}`), ["foo 0", "bar 0", "foo 1", "foo 3"]);
    assertEquals(await drainOf(bus, "foo"), ["0 a", "1 b", "2 c", "3 d"]);
    assertEquals(await drainOf(bus, "bar"), ["0 x"]);
  });

  test("append under a bus: a subscription sees what was published, in order", async (store) => {
    await using bus = busOf(store);
    const subscription = bus.subscribe("foo");
    await bus.publish("foo", "a");
    await bus.publish("foo", ["b", "c"]);
    const got: (Message | undefined)[] = [subscription.take(), subscription.take(), subscription.take()];
    assertEquals(got.map((message) => message?.text()), ["a", "b", "c"]);
  });

  test("delay under a bus: what is due comes in order, before what is published later", async (store) => {
    const clock = new TestClock();
    await using bus = new MessageBus({ store, clock });
    const messages = [["b", 20], ["a", 10], ["c", 20]] as const;
    await Promise.all(messages.map(([payload, delayMs]) => bus.schedule("foo", payload, { delayMs })));
    clock.stall(100);
    assertEquals((await bus.publish("foo", "d")).id, 3);
    assertEquals(await drainOf(bus, "foo"), ["0 a", "1 b", "2 c", "3 d"]);
  });

  test("cancel under a bus: what was taken back is never published", async (store) => {
    const clock = new TestClock();
    await using bus = new MessageBus({ store, clock });
    const { token } = await bus.schedule("foo", "a", { delayMs: 10 });
    assertEquals([await bus.cancel("foo", token), await bus.cancel("foo", token)], [true, false]);
    clock.tick(1000);
    assertEquals((await bus.publish("foo", "b")).id, 0);
  });

  test("append under a bus: a publish is known as a repeat by its key", async (store) => {
    await using bus = busOf(store);
    const publish = () => bus.publish("foo", "a", { idempotencyKey: "k" });
    const receipts = [...await Promise.all([publish(), publish()]), await publish()];
    assertEquals(receipts.map(({ id, duplicate }) => [id, duplicate]), [[0, undefined], [0, true], [0, true]]);
    assertEquals(await drainOf(bus, "foo"), ["0 a"]);
  });

  test("note under a bus: of many who pull at once, one gets the message", async (store) => {
    await using bus = busOf(store);
    await bus.publish("foo", "a");
    const pulled = await Promise.all([bus.pull("foo"), bus.pull("foo"), bus.pull("foo")]);
    assertEquals(pulled.filter((message) => message !== undefined).length, 1);
  });

  test("remove under a bus: a deleted topic is gone, and the next one of its name begins at id 0", async (store) => {
    await using bus = busOf(store);
    await bus.publish("foo", ["a", "b"]);
    assertEquals(await bus.delete("foo"), true);
    assertEquals(await bus.delete("foo"), false);
    assertEquals(await bus.pull("foo"), undefined);
    assertEquals((await bus.publish("foo", "c")).id, 0);
    assertEquals(await drainOf(bus, "foo"), ["0 c"]);
  });

  test("append under a bus: what is published while the topic is being deleted opens the next one", async (store) => {
    await using bus = busOf(store);
    await bus.publish("foo", ["a", "b"]);
    const [deleted, receipt] = await Promise.all([bus.delete("foo"), bus.publish("foo", "c")]);
    assertEquals({ deleted, id: receipt.id }, { deleted: true, id: 0 });
    assertEquals(await drainOf(bus, "foo"), ["0 c"]);
  });
}
