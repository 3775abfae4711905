import { Timeline } from "../../lib/bus/timeline.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { FeedHost } from "../../lib/bus/feed.ts";
import { GoneTopics, MAX_GONE_TOPICS } from "../../lib/bus/gone_topics.ts";
import { MergedFeed } from "../../lib/bus/merged_feed.ts";
import { Pager } from "../../lib/bus/pager.ts";
import { Runs } from "../../lib/bus/run.ts";
import type { Subscription } from "../../lib/bus/subscription.ts";
import { Topic } from "../../lib/bus/topic.ts";
import { BusError } from "../../lib/errors.ts";
import { epochOf, Message } from "../../lib/message.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { parseTopicPattern } from "../../lib/topic_pattern.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { assert, assertEquals, assertRejects } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ...options }) };
}

/** Subscribes where another subscription is. */
function resume(bus: MessageBus, subscription: Subscription, cursor = subscription.cursor): Subscription {
  return bus.subscribe(subscription.topic, { since: parseSince(cursor, 0) });
}

Deno.test("MessageBus.subscribe to a list gives the messages of each topic of it, and of no other", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("b,a");
  for (const topic of ["a", "c", "b", "a/b", "a"]) bus.put(topic, "hi");
  assertEquals(deliveriesOf(subscription).toSorted(), ["a 0", "a 1", "b 0", "caught-up"]);
});

Deno.test("MessageBus.subscribe to a pattern gives topics that exist and those made later", () => {
  const { bus } = setUp();
  bus.put("a/b", "hi");
  const subscription = bus.subscribe("a/*", { since: "earliest" });
  assertEquals(deliveriesOf(subscription), ["a/b 0", "caught-up"]);
  for (const topic of ["a/c", "a/c/d", "a", "a/b"]) bus.put(topic, "hi");
  assertEquals(deliveriesOf(subscription).toSorted(), ["a/b 1", "a/c 0"]);
});

Deno.test("MessageBus.subscribe to a pattern gives a topic made later from its first message, since latest too", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("**");
  bus.put("a/b/c", "hi");
  clock.flush();
  assertEquals(deliveriesOf(subscription), ["caught-up", "a/b/c 0"]);
});

Deno.test("Subscription.read on several topics gives messages in the order of their creation", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("*");
  for (const topic of ["a", "b", "b", "a", "c", "a"]) {
    bus.put(topic, "hi");
    clock.tick(1);
  }
  assertEquals(deliveriesOf(subscription), ["caught-up", "a 0", "b 0", "b 1", "a 1", "c 0", "a 2"]);
});

Deno.test("Subscription.read on several topics gives what was retained, then caught-up, then what came since", () => {
  const { bus, clock } = setUp();
  bus.put("a", "hi");
  clock.tick(1);
  bus.put("b", "hi");
  const subscription = bus.subscribe("*", { since: "earliest" });
  clock.tick(1);
  bus.put("a", "hi");
  assertEquals(deliveriesOf(subscription), ["a 0", "b 0", "caught-up", "a 1"]);
});

Deno.test("Subscription.take on several topics gives a message in the turn of its publish, once", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("*");
  bus.put("a", "hi");
  clock.flush();
  bus.put("a", "hi");
  assertEquals([subscription.take()?.id, subscription.take()?.id, subscription.take()?.id], [0, 1, undefined]);
  clock.flush();
  assertEquals(subscription.take()?.id, undefined);
});

Deno.test("Subscription.topic is its pattern in one spelling, and several says whether its cursors are times", () => {
  const { bus } = setUp();
  const seen = ["/a/", "a,a", "a,b/", "/a/*"].map((topics) => bus.subscribe(topics))
    .map(({ topic, several, cursor }) => [topic, several, cursor.startsWith("T")]);
  assertEquals(seen, [["a", false, false], ["a", false, false], ["a,b", true, true], ["a/*", true, true]]);
});

Deno.test("Subscription.cursor on several topics resumes with what was not read, repeating only its millisecond", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  clock.tick(1);
  bus.put("a", "hi");
  clock.tick(1);
  for (const topic of ["a", "b", "a"]) bus.put(topic, "hi");
  clock.tick(1);
  bus.put("b", "hi");
  assertEquals([subscription.take(), subscription.take()].map((message) => message?.topic.name), ["a", "a"]);
  assertEquals(deliveriesOf(resume(bus, subscription)).toSorted(), ["a 1", "a 2", "b 0", "b 1", "caught-up"]);
});

Deno.test("Subscription.cursor on several topics is the time when nothing is left to read", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  bus.put("a", "hi");
  clock.tick(5);
  deliveriesOf(subscription);
  assertEquals(subscription.cursor, `T${clock.now().toString(36)}`);
  assertEquals(deliveriesOf(resume(bus, subscription)), ["caught-up"]);
});

Deno.test("Subscription.cursor on several topics passes no message that was published in this turn", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  bus.put("a", "hi");
  clock.tick(5);
  assertEquals(deliveriesOf(resume(bus, subscription)), ["a 0", "caught-up"]);
});

Deno.test("Subscription.cursor on several topics passes no message of a clock that is set back later", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  const { cursor } = subscription;
  clock.set(-60_000);
  bus.put("a", "hi");
  assertEquals(deliveriesOf(resume(bus, subscription, cursor)), ["a 0", "caught-up"]);
});

Deno.test("Subscription.cursor stays when it ends, and resumes it", () => {
  const { bus, clock } = setUp();
  for (const topics of ["a", "a,b"]) {
    const subscription = bus.subscribe(topics, { since: "latest" });
    bus.put("a", "hi");
    clock.tick(1);
    bus.put("a", "hi");
    subscription.take();
    const { cursor } = subscription;
    subscription.close();
    assertEquals(subscription.cursor, cursor);
    const id = bus.topic("a")!.seq - 1;
    assertEquals(deliveriesOf(resume(bus, subscription)), [`a ${id}`, "caught-up"]);
  }
});

Deno.test("Subscription.cursor on several topics passes nothing that is on its way, though something is missing after it", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store, maxMessages: 1 });
  const late = bus.publish("a", "hi");
  clock.tick(1);
  for (let i = 0; i < 2; i++) {
    const receipt = bus.publish("b", "hi");
    store.answerOne(1);
    await receipt;
  }
  const subscription = bus.subscribe("*", { since: { fromMs: clock.now() } });
  const { cursor } = subscription;
  subscription.close();
  await store.answerAll();
  await late;
  assertEquals(subscription.cursor, cursor);
  assertEquals(deliveriesOf(resume(bus, subscription)), ["gap b null-0 dropped", "a 0", "b 1", "caught-up"]);
});

Deno.test("Subscription.cursor on several topics passes what was on its way, once all that was accepted then is answered", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const subscription = bus.subscribe("*");
  const acceptedMs = clock.now();
  const publishes = [bus.publish("a", "hi"), bus.publish("b", "hi")];
  clock.tick(10);
  const passed: boolean[] = [];
  for (const publish of publishes) {
    await store.answer();
    await publish;
    deliveriesOf(subscription);
    passed.push((parseSince(subscription.cursor, 0) as { createdMs: number }).createdMs > acceptedMs);
  }
  assertEquals(passed, [false, true]);
});

Deno.test("Subscription.cursor on several topics passes nothing that was published after the drain", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  bus.put("a", "hi");
  bus.drain();
  clock.tick(1);
  const { createdMs } = bus.put("b", "hi");
  clock.tick(1);
  assertEquals(deliveriesOf(subscription), ["caught-up", "a 0"]);
  assertEquals(parseSince(subscription.cursor, 0), { createdMs: createdMs - 1 });
});

Deno.test("Subscription.cursorOf a message resumes with what comes after it", () => {
  const { bus, clock } = setUp();
  for (const topics of ["a", "a,b"]) {
    const subscription = bus.subscribe(topics);
    for (let i = 0; i < 3; i++) {
      clock.tick(1);
      bus.put("a", "hi");
    }
    subscription.read();
    const run = subscription.read();
    assert(typeof run === "object" && run.event === "messages");
    const second = run.messages[1]!;
    const [first] = deliveriesOf(resume(bus, subscription, subscription.cursorOf(second)));
    assertEquals(first, `a ${subscription.several ? second.id : second.id + 1}`);
  }
});

Deno.test("Subscription.cursor passes no message that was accepted and is not visible yet", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  const receipts = [bus.publish("a", "hi")];
  clock.tick(10);
  receipts.push(bus.publish("b", "hi"));
  deliveriesOf(subscription);
  const { cursor } = subscription;
  await store.answerAll();
  await Promise.all(receipts);
  assertEquals(deliveriesOf(resume(bus, subscription, cursor)), ["a 0", "b 0", "caught-up"]);
});

Deno.test("Subscription.cursorOf a message passes none that was accepted before it and is visible later", async () => {
  /** Answers for topic b before a. */
  class Overtaken extends LaterStore {
    override append(append: Parameters<LaterStore["append"]>[0]): Promise<number> {
      return append.topic.name === "b" ? Promise.resolve(0) : super.append(append);
    }
  }
  const store = new Overtaken();
  const { bus, clock } = setUp({ store });
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  const late = bus.publish("a", "hi");
  clock.tick(10);
  await bus.publish("b", "hi");
  const message = subscription.take()!;
  const cursors = [subscription.cursorOf(message), subscription.cursor];
  await store.answerAll();
  await late;
  cursors.push(subscription.cursorOf(message), subscription.cursor);
  for (const cursor of cursors) {
    assertEquals(deliveriesOf(resume(bus, subscription, cursor)), ["a 0", "b 0", "caught-up"]);
  }
  assertEquals(deliveriesOf(subscription), ["a 0"]);
});

Deno.test("Subscription.read on several topics says caught-up after all that was retained, whatever is on its way", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const first = bus.publish("b", "hi");
  await store.answer();
  await first;
  const late = bus.publish("a", "hi");
  clock.tick(10);
  const second = bus.publish("b", "hi");
  const subscription = bus.subscribe("a,b", { since: "earliest" });
  assertEquals(deliveriesOf(subscription), ["b 0", "caught-up"]);
  await store.answerAll();
  await Promise.all([late, second]);
  assertEquals(deliveriesOf(subscription), ["a 0", "b 1"]);
});

Deno.test("MessageBus.delete tells deleted to who reads the topic among others, and goes on", async () => {
  const { bus, clock } = setUp();
  for (const topics of ["a,b", "*"]) {
    let bells = 0;
    const subscription = bus.subscribe(topics, { onReady: () => bells++ });
    bus.put("a", "hi");
    clock.flush();
    deliveriesOf(subscription);
    await bus.delete("a");
    clock.flush();
    assertEquals({ bells, told: deliveriesOf(subscription) }, { bells: 2, told: ["deleted a"] });
    bus.put("a", "hi");
    assertEquals(deliveriesOf(subscription), ["a 0"]);
    assertEquals(bus.totals().subscriptions, 1);
    subscription.close();
    await bus.delete("a");
  }
});

Deno.test("MessageBus.delete tells deleted and gives the topic made again, in one turn", async () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("*");
  bus.put("a", "old");
  await bus.delete("a");
  bus.put("a", "new");
  clock.flush();
  assertEquals(deliveriesOf(subscription), ["deleted a", "caught-up", "a 0"]);
});

Deno.test("MessageBus.delete takes back what had not been read of the topic", async () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,b");
  bus.put("a", "hi");
  bus.put("b", "hi");
  clock.flush();
  assertEquals(subscription.lag, 2);
  await bus.delete("a");
  assertEquals(subscription.lag, 1);
});

Deno.test("MessageBus.topic counts a subscription once however many of its patterns match", async () => {
  const { bus } = setUp();
  bus.subscribe("a/b,a/*,a/**,**");
  bus.subscribe("a/*");
  const receipt = await bus.publish("a/b", "hi");
  assertEquals([receipt.subscribers, bus.topic("a/b")?.subscribers, bus.totals().subscriptions], [2, 2, 2]);
  bus.put("c", "hi");
  assertEquals(bus.topic("c")?.subscribers, 1);
});

Deno.test("Subscription.read gives a message once however many of its patterns match", () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("a,*,**");
  bus.put("a", "hi");
  clock.flush();
  assertEquals(deliveriesOf(subscription), ["caught-up", "a 0"]);
});

Deno.test("MessageBus forgets an idle topic that only a wildcard matches, and not one that is named", () => {
  const { bus, clock } = setUp({ ttlMs: 1000, topicIdleMs: 1000 });
  bus.subscribe("a/*");
  const named = bus.subscribe("a/b,c/*");
  for (const topic of ["a/b", "a/c", "c/d"]) bus.put(topic, "hi");
  clock.tick(10_000);
  assertEquals(bus.topics().map(({ name }) => name), ["a/b"]);
  named.close();
  clock.tick(999);
  assertEquals(bus.topics().length, 1);
  clock.tick(1);
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.put defers nothing if nobody reads the topic", () => {
  const { bus, clock } = setUp();
  bus.subscribe("a/*");
  bus.subscribe("b");
  clock.flush();
  bus.put("a", "hi");
  bus.put("a/b/c", "hi");
  assertEquals(clock.deferred, 0);
  bus.put("a/b", "hi");
  assertEquals(clock.deferred, 1);
});

Deno.test("MessageBus.subscribe to 10 000 quiet topics gives and counts what is new in one of them", () => {
  const { bus, clock } = setUp();
  for (let i = 0; i < 10_000; i++) bus.put(`t/${i}`, "hi");
  const subscription = bus.subscribe("t/*");
  assertEquals(deliveriesOf(subscription), ["caught-up"]);
  const { timers } = clock;
  bus.put("t/5000", "hi");
  assertEquals([clock.timers, subscription.lag], [timers, 1]);
  assertEquals(deliveriesOf(subscription), ["t/5000 1"]);
  assertEquals(subscription.lag, 0);
});

Deno.test("MergedFeed remembers none of 10 000 topics that it has read, or that are quiet", () => {
  let asked = 0;
  const clock = new TestClock();
  const host: FeedHost = {
    runs: new Runs(clock),
    gone: new GoneTopics(clock.now()),
    pager: new Pager({ clock, store: new MemoryStore(), maxBytes: 0, onDamaged: () => {} }),
    clock,
    expire: () => void asked++,
    spread: () => {},
    settledMs: () => clock.now(),
  };
  const topics = Array.from({ length: 10_000 }, (_, i) => {
    const info = { name: `t/${i}`, ttlMs: 0, createdMs: i, epoch: epochOf(i) };
    const topic = new Topic(info, { nowMs: 0, timeline: new Timeline(new TestClock()) });
    topic.append(new Message(info, { id: 0, payload: new Uint8Array(), createdMs: clock.now() }), 1);
    return topic;
  });
  for (const since of ["latest", "earliest"] as const) {
    const feed = new MergedFeed(host, parseTopicPattern("t/*"), topics, since);
    while (feed.read({}) !== undefined);
    asked = 0;
    // It looks at every topic in which it has a place.
    assertEquals({ lag: feed.lag, asked, readable: feed.readable }, { lag: 0, asked: 0, readable: false });
  }
});

Deno.test("Subscription.close leaves a topic without audience again, however many of its patterns matched", () => {
  const { bus, clock } = setUp();
  bus.subscribe("a,*,**").close();
  clock.flush();
  bus.put("a", "hi");
  assertEquals({ deferred: clock.deferred, subscribers: bus.topic("a")?.subscribers }, { deferred: 0, subscribers: 0 });
});

/** A bus, and a reader of several topics that has read everything and is away. */
function setUpAway(options: BusOptions = {}, topics = "*") {
  const { bus, clock } = setUp({ ttlMs: 1000, topicIdleMs: 1000, ...options });
  const subscription = bus.subscribe(topics);
  deliveriesOf(subscription);
  subscription.close();
  const put = (topic: string) => {
    clock.tick(1);
    bus.put(topic, "hi");
  };
  return { bus, clock, put, resumed: () => deliveriesOf(resume(bus, subscription)) };
}

Deno.test("MessageBus.subscribe with the cursor of several topics tells which were deleted unread", async () => {
  const { bus, put, resumed } = setUpAway({}, "a,c");
  for (const topic of ["a", "b", "c"]) put(topic);
  for (const topic of ["a", "b"]) await bus.delete(topic);
  assertEquals(resumed(), ["gap a null-null reset", "c 0", "caught-up"]);
});

Deno.test("MessageBus.subscribe with the cursor of several topics tells which were forgotten unread", () => {
  const { bus, clock, put, resumed } = setUpAway();
  put("a");
  clock.tick(2000);
  assertEquals(bus.topics(), []);
  assertEquals(resumed(), ["gap a null-null reset", "caught-up"]);
});

Deno.test("MessageBus.subscribe with the cursor of several topics tells of a topic made again both what is gone and what is lost", async () => {
  const { bus, put, resumed } = setUpAway({ maxMessages: 1 });
  for (let i = 0; i < 2; i++) put("a");
  await bus.delete("a");
  put("a");
  assertEquals(resumed(), ["gap a null-null reset", "a 0", "caught-up"]);
  put("a");
  assertEquals(resumed(), ["gap a null-null reset", "gap a null-0 dropped", "a 1", "caught-up"]);
  await bus.delete("a");
  put("a");
  assertEquals(resumed(), ["gap a null-null reset", "a 0", "caught-up"]);
});

Deno.test("MessageBus.subscribe with the cursor of several topics tells nothing of those that were read to the end", async () => {
  const { bus, clock } = setUp();
  for (const topic of ["a", "b"]) bus.put(topic, "hi");
  clock.tick(1);
  const subscription = bus.subscribe("*", { since: "earliest" });
  deliveriesOf(subscription);
  await bus.delete("a");
  bus.put("c", "hi");
  assertEquals(deliveriesOf(subscription), ["deleted a", "c 0"]);
  subscription.close();
  await bus.delete("b");
  assertEquals(deliveriesOf(resume(bus, subscription)), ["c 0", "caught-up"]);
});

Deno.test("MessageBus.subscribe from anywhere but a cursor of several topics tells nothing of topics that are gone", async () => {
  const { bus, clock } = setUp();
  const fromMs = clock.now();
  bus.put("a", "hi");
  await bus.delete("a");
  for (const since of ["latest", "earliest", { last: 3 }, { fromMs }, { fromMs: 0 }] as const) {
    for (const topics of ["a", "a,b", "*"]) {
      assertEquals(deliveriesOf(bus.subscribe(topics, { since })), ["caught-up"]);
    }
  }
});

Deno.test("MessageBus.subscribe to one topic with a time for a cursor tells whether one of its name is gone", async () => {
  const { bus, clock } = setUp({ maxMessages: 1 });
  const createdMs = clock.now();
  bus.put("a", "hi");
  await bus.delete("a");
  const told = (since = createdMs) => deliveriesOf(bus.subscribe("a", { since: { createdMs: since } }));
  assertEquals(told(), ["gap a null-null reset", "caught-up"]);
  assertEquals(told(createdMs + 1), ["caught-up"]);
  clock.tick(1);
  for (let i = 0; i < 3; i++) bus.put("a", "hi");
  assertEquals(told(), ["gap a null-1 reset", "a 2", "caught-up"]);
  assertEquals(told(createdMs + 1), ["gap a null-1 dropped", "a 2", "caught-up"]);
  assertEquals((await bus.browse("a", { since: { createdMs } }))?.gap, {
    topic: "a",
    from: null,
    to: 1,
    reason: "reset",
  });
});

Deno.test("MessageBus.subscribe with a cursor from before more topics went than are remembered tells one gap for all", async () => {
  const { bus, put, resumed } = setUpAway({}, "a,t/*");
  for (let i = 0; i < MAX_GONE_TOPICS + 1; i++) {
    put(`t/${i}`);
    await bus.delete(`t/${i}`);
  }
  put("a");
  assertEquals(resumed(), ["gap a,t/* null-null reset", "a 0", "caught-up"]);
});

Deno.test("MessageBus.subscribe with the cursor of several topics tells nothing of one whose first publish was refused", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store, maxPayloadBytes: 3 });
  const createdMs = clock.now();
  const refused = assertRejects(() => bus.publish("a", "hi"), Error, "the disk is full");
  await store.refuse();
  await refused;
  await assertRejects(() => bus.publish("b", "long"), BusError);
  assertEquals(deliveriesOf(bus.subscribe("*", { since: { createdMs } })), ["caught-up"]);
});

Deno.test("Subscription.cursor on several topics stays until all topics were told that are gone", async () => {
  const { bus, clock } = setUp();
  const createdMs = clock.now();
  for (const topic of ["a", "b"]) {
    bus.put(topic, "hi");
    await bus.delete(topic);
  }
  clock.tick(1);
  const subscription = bus.subscribe("*", { since: { createdMs } });
  const told = [subscription.cursor];
  while (subscription.read() !== undefined) told.push(subscription.cursor);
  assertEquals(told.map((cursor) => parseSince(cursor, 0)), [
    { createdMs },
    { createdMs },
    { createdMs: createdMs + 1 },
    { createdMs: createdMs + 1 },
  ]);
});

Deno.test("Subscription.cursor on several topics doesn't pass the unread messages of a topic before its end was told", async () => {
  for (const isHeard of [true, false]) {
    const { bus, clock } = setUp();
    const subscription = bus.subscribe("*");
    deliveriesOf(subscription);
    clock.tick(1);
    bus.put("a", "hi");
    if (isHeard) clock.flush();
    clock.tick(1);
    await bus.delete("a");
    bus.put("b", "hi");
    clock.tick(1);
    assertEquals(deliveriesOf(resume(bus, subscription)), ["gap a null-null reset", "b 0", "caught-up"]);
    const told = subscription.read();
    assertEquals(typeof told === "object" && told.event, "deleted");
    assertEquals(deliveriesOf(resume(bus, subscription)), ["b 0", "caught-up"]);
    assertEquals(deliveriesOf(subscription), ["b 0"]);
  }
});

Deno.test("Subscription.cursor on several topics passes no message that became visible late and was deleted at once", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const subscription = bus.subscribe("a,b");
  deliveriesOf(subscription);
  const late = bus.publish("a", "hi");
  clock.tick(10);
  const work = [late, bus.publish("b", "hi"), bus.delete("a")];
  store.answerOne(1);
  await work[1];
  assertEquals(subscription.take()?.topic.name, "b");
  await store.answerAll();
  await Promise.all(work);
  clock.tick(10);
  assertEquals(deliveriesOf(resume(bus, subscription)), ["gap a null-null reset", "b 0", "caught-up"]);
});

Deno.test("Subscription.read of several topics tells of a thousand deleted topics, and of all the others at once", async () => {
  const bus = new MessageBus({ clock: new TestClock() });
  const subscription = bus.subscribe("a/*");
  subscription.read();
  for (let i = 0; i < 3000; i++) {
    bus.put(`a/${i}`, "hi");
    await bus.delete(`a/${i}`);
  }
  const told: string[] = [];
  for (let delivery = subscription.read(); typeof delivery === "object"; delivery = subscription.read()) {
    if (delivery.event === "deleted") told.push(delivery.topic);
  }
  assertEquals([told.length, told.at(-2), told.at(-1)], [1001, "a/999", "a/*"]);
});
