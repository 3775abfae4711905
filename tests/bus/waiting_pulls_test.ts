import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Batch, PullBatchOptions } from "../../lib/bus/answers.ts";
import { assertEquals, assertRejects } from "../deps.ts";
import { lineOf } from "./deliveries.ts";
import { codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ...options });
  const answers: string[] = [];
  /** Pulls, and notes what comes. */
  const pull = (label: string, options: PullBatchOptions = {}, topic = "foo") =>
    bus.pullBatch(topic, { limit: 1, waitMs: 20_000, ...options }).then(
      (batch) => void answers.push(`${label}: ${seen(batch)}`),
      (error) => void answers.push(`${label}: ${error.code ?? error}`),
    );
  return { clock, bus, answers, pull };
}

const seen = ({ messages, gap }: Batch) => {
  return [lineOf(gap), ...messages.map((message) => message.text())].filter((part) => part !== undefined).join(" ");
};

/** Lets everything happen that follows from what has. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await undefined;
}

Deno.test("MessageBus.pull with waitMs gives what is there at once", async () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  assertEquals((await bus.pull("foo", { waitMs: 1000 }))?.text(), "a");
  assertEquals(clock.deferred, 0);
});

Deno.test("MessageBus.pull with waitMs waits for a message, until the end of the turn that brings one", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x");
  clock.tick(10_000);
  bus.put("foo", "a");
  await settle();
  assertEquals(answers, []);
  clock.flush();
  await settle();
  assertEquals(answers, ["x: a"]);
});

Deno.test("MessageBus.pull serves those who wait in the order in which they came", async () => {
  const { bus, clock, answers, pull } = setUp();
  for (const label of ["x", "y", "z"]) pull(label);
  bus.put("foo", "a");
  bus.put("foo", "b");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: a", "y: b"]);
  bus.put("foo", "c");
  clock.flush();
  await settle();
  assertEquals(answers.slice(2), ["z: c"]);
});

Deno.test("MessageBus.pullBatch gives who waits all messages of the turn, up to its limit, and the rest to the next", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x", { limit: 3 });
  pull("y", { limit: 3 });
  for (const payload of ["a", "b", "c", "d"]) bus.put("foo", payload);
  clock.flush();
  await settle();
  assertEquals(answers, ["x: a b c", "y: d"]);
});

Deno.test("MessageBus.pullBatch without a limit gives 100 messages, whether it has waited or not", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x", { limit: undefined });
  await bus.publish("foo", Array.from({ length: 250 }, (_, i) => `${i}`));
  clock.flush();
  await settle();
  assertEquals(answers[0]?.split(" ").length, 1 + 100);
  assertEquals((await bus.pullBatch("foo")).messages.length, 100);
  assertEquals((await bus.pullBatch("foo")).messages.length, 50);
});

Deno.test("MessageBus.pull gives nothing when the time is up, and takes nothing afterwards", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x");
  clock.tick(19_999);
  await settle();
  assertEquals(answers, []);
  clock.tick(1);
  await settle();
  assertEquals(answers, ["x: "]);
  bus.put("foo", "a");
  clock.flush();
  assertEquals(bus.get("foo")?.text(), "a");
});

Deno.test("MessageBus.pull waits for a topic that doesn't exist, in whatever spelling, and doesn't make it", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x", {}, "/foo/");
  assertEquals(bus.topics(), []);
  bus.put("foo", "a");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: a"]);
});

Deno.test("MessageBus.pull that is aborted rejects with the reason, and takes nothing", async () => {
  const { bus, clock, answers, pull } = setUp();
  const controller = new AbortController();
  pull("x", { signal: controller.signal });
  pull("y");
  bus.put("foo", "a");
  controller.abort("gone");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: gone", "y: a"]);
  assertEquals(clock.timers, 1);
});

Deno.test("MessageBus.pull with a signal that has aborted takes nothing, though there is something", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const signal = AbortSignal.abort(new Error("gone"));
  await assertRejects(() => bus.pull("foo", { signal }), Error, "gone");
  await assertRejects(() => bus.pull("bar", { waitMs: 1000, signal }), Error, "gone");
  assertEquals(bus.get("foo")?.text(), "a");
});

Deno.test("MessageBus.pull lets go of its signal when it was served", async () => {
  const { bus, clock } = setUp();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    addEventListener.apply(signal, args as Parameters<typeof addEventListener>);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    removeEventListener.apply(signal, args as Parameters<typeof removeEventListener>);
  };
  const pulled = bus.pull("foo", { waitMs: 1000, signal });
  assertEquals(listeners, 1);
  bus.put("foo", "a");
  clock.flush();
  await pulled;
  assertEquals(listeners, 0);
});

Deno.test("MessageBus.drain ends the waiting with draining, and what is published then stays", async () => {
  const { bus, answers, pull } = setUp();
  pull("x");
  bus.drain();
  await settle();
  assertEquals(answers, ["x: draining"]);
  assertEquals(await codeOfRejection(bus.pull("foo", { waitMs: 1000 })), "draining");
  bus.put("foo", "a");
  assertEquals((await bus.pull("foo", { waitMs: 1000 }))?.text(), "a");
});

Deno.test("MessageBus.drain serves those who wait for what is new first", async () => {
  const { bus, answers, pull } = setUp();
  pull("x");
  pull("y");
  bus.put("foo", "a");
  bus.drain();
  await settle();
  assertEquals(answers, ["x: a", "y: draining"]);
});

Deno.test("MessageBus.delete leaves those who wait to wait for the next topic of the name", async () => {
  const { bus, clock, answers, pull } = setUp();
  bus.put("foo", "a");
  bus.get("foo");
  pull("x");
  await bus.delete("foo");
  clock.flush();
  bus.put("foo", "b");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: b"]);
});

Deno.test("MessageBus.delete in the turn of a publish leaves nothing for who waits", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x");
  bus.put("foo", "a");
  await bus.delete("foo");
  clock.flush();
  await settle();
  assertEquals(answers, []);
  bus.drain();
});

Deno.test("MessageBus.pull that waits gets nothing that somebody took in the same turn, and waits on", async () => {
  const { bus, clock, answers, pull } = setUp();
  pull("x");
  bus.put("foo", "a");
  assertEquals(bus.get("foo")?.text(), "a");
  clock.flush();
  await settle();
  assertEquals(answers, []);
  bus.put("foo", "b");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: b"]);
});

Deno.test("MessageBus.pullBatch tells who waits what the queue has lost, with the message it gets", async () => {
  const { bus, clock, answers, pull } = setUp({ ttlMs: 1000, maxMessages: 1 });
  bus.put("foo", "a");
  clock.tick(1000);
  pull("x");
  bus.put("foo", "b");
  bus.put("foo", "c");
  clock.flush();
  await settle();
  assertEquals(answers, ["x: gap foo 0-1 dropped c"]);
});

Deno.test("MessageBus.pullBatch tells who has waited in vain what the queue has lost", async () => {
  const { bus, clock, answers, pull } = setUp({ ttlMs: 1000 });
  bus.put("foo", "a");
  clock.tick(1000);
  pull("x");
  clock.tick(20_000);
  await settle();
  assertEquals(answers, ["x: gap foo 0-0 expired"]);
});

Deno.test("MessageBus.pullBatch that is aborted leaves what the queue has lost to be told to the next", async () => {
  const { bus, clock, pull } = setUp({ ttlMs: 1000 });
  bus.put("foo", "a");
  clock.tick(1000);
  const controller = new AbortController();
  pull("x", { signal: controller.signal });
  controller.abort("gone");
  assertEquals(lineOf((await bus.pullBatch("foo")).gap), "gap foo 0-0 expired");
});

Deno.test("MessageBus.pull that waited tells the store at once, in the order in which messages are taken", async () => {
  const store = new LaterStore();
  const { bus, clock, answers, pull } = setUp({ store });
  pull("x");
  const receipt = bus.publish("foo", ["a", "b"]);
  await store.answer();
  await receipt;
  clock.flush();
  const other = bus.pull("foo");
  assertEquals(store.waiting, ["advance foo to 1", "advance foo to 2"]);
  assertEquals(answers, []);
  await store.answerAll();
  await settle();
  assertEquals({ answers, other: (await other)?.text() }, { answers: ["x: a"], other: "b" });
});

Deno.test("MessageBus.pull that waited rejects if the store refuses, and others are served", async () => {
  const store = new LaterStore();
  const { bus, clock, answers, pull } = setUp({ store });
  pull("x");
  pull("y");
  const receipt = bus.publish("foo", ["a", "b"]);
  await store.answer();
  await receipt;
  clock.flush();
  await store.refuse();
  await store.answer();
  await settle();
  assertEquals(answers, ["x: Error: the disk is full", "y: b"]);
});

Deno.test("MessageBus.pull that waits is counted when it is answered, and leaves no timer", async () => {
  const pulled: string[] = [];
  const clock = new TestClock();
  const observer = {
    pulled: (topic: string, message?: { id: number }) => void pulled.push(`${topic} ${message?.id}`),
  };
  const bus = new MessageBus({ clock, observer, ttlMs: 0, topicIdleMs: Infinity });
  const first = bus.pull("foo", { waitMs: 1000 });
  const second = bus.pull("foo", { waitMs: 1000 });
  assertEquals(pulled, []);
  bus.put("foo", "a");
  clock.flush();
  await first;
  clock.tick(1000);
  await second;
  assertEquals(pulled, ["foo 0", "foo undefined"]);
  assertEquals(clock.timers, 0);
});

Deno.test("MessageBus.pull that may wait doesn't overtake one that waits already", async () => {
  const clock = new TestClock();
  const bus = new MessageBus({ clock });
  const first = bus.pull("foo", { waitMs: 1000 });
  bus.put("foo", "a");
  const second = bus.pull("foo", { waitMs: 1000 });
  clock.flush();
  clock.tick(1000);
  assertEquals([(await first)?.text(), (await second)?.text()], ["a", undefined]);
});
