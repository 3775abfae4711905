import { Timeline } from "../../lib/bus/timeline.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { Dedupe } from "../../lib/bus/dedupe.ts";
import { fingerprintOf } from "../../lib/bus/fingerprint.ts";
import { MAX_DEDUPE_KEYS } from "../../lib/bus/limits.ts";
import { Schedule } from "../../lib/bus/schedule.ts";
import type { Append } from "../../lib/bus/store.ts";
import { Topic } from "../../lib/bus/topic.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assertEquals, assertStringIncludes, assertThrows, fc } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

const WINDOW_MS = 120_000;

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ttlMs: 0, ...options }) };
}

const KEY = { idempotencyKey: "k" };

Deno.test("MessageBus.publish answers a repeat as the first, and publishes nothing", async () => {
  const { bus } = setUp();
  bus.put("t", "before");
  const first = await bus.publish("t", ["a", "b"], KEY);
  bus.put("t", "between");
  bus.subscribe("t");
  assertEquals(await bus.publish("t", ["a", "b"], KEY), { ...first, duplicate: true });
  assertEquals(await bus.publish("/t/", ["a", new Uint8Array([0x62])], KEY), { ...first, duplicate: true });
  assertEquals([first.duplicate, bus.topic("t")!.seq], [undefined, 4]);
  const { duplicates, published, forgottenKeys } = bus.totals();
  assertEquals({ duplicates, published, forgottenKeys }, { duplicates: 2, published: 4, forgottenKeys: 0 });
});

Deno.test("MessageBus.publish refuses another body with the same key, and remembers the first one", async () => {
  const { bus } = setUp();
  const { cursor } = await bus.publish("t", ["a", "b"], KEY);
  for (const body of ["a", ["ab"], ["a", "b", ""], ["b", "a"], [""]]) {
    assertEquals(await codeOfRejection(bus.publish("t", body, KEY)), "idempotency_conflict");
  }
  assertEquals(codeOf(() => bus.put("t", "a", KEY)), "idempotency_conflict");
  assertEquals(await codeOfRejection(bus.schedule("t", "a", { ...KEY, delayMs: 1 })), "idempotency_conflict");
  assertEquals((await bus.publish("t", ["a", "b"], KEY)).cursor, cursor);
  assertEquals([bus.topic("t")!.seq, bus.totals().duplicates], [2, 1]);
});

Deno.test("MessageBus.publish knows a repeat for the whole window from the first on, and not a moment longer", async () => {
  const { bus, clock } = setUp();
  await bus.publish("t", "a", KEY);
  clock.tick(WINDOW_MS / 2);
  assertEquals((await bus.publish("t", "a", KEY)).duplicate, true);
  clock.tick(WINDOW_MS / 2 - 1);
  assertEquals((await bus.publish("t", "a", KEY)).duplicate, true);
  clock.stall(1);
  const again = await bus.publish("t", "b", KEY);
  assertEquals([again.id, again.duplicate], [1, undefined]);
  assertEquals((await bus.publish("t", "b", KEY)).duplicate, true);
});

Deno.test("MessageBus.publish remembers nothing if the window is 0, but a key must be one", async () => {
  const { bus } = setUp({ dedupeWindowMs: 0 });
  for (const id of [0, 1]) assertEquals((await bus.publish("t", "a", KEY)).id, id);
  assertEquals(bus.put("t", "b", KEY).id, 2);
  assertEquals((await bus.schedule("t", "a", { ...KEY, delayMs: 1 })).duplicate, undefined);
  assertEquals(await codeOfRejection(bus.publish("t", "a", { idempotencyKey: "\n" })), "bad_header");
});

Deno.test("MessageBus.publish judges whether it is a repeat before it looks at the position", async () => {
  const { bus } = setUp();
  const ifMatch = { next: 0 };
  const first = await bus.publish("t", "a", { ...KEY, ifMatch });
  assertEquals(await bus.publish("t", "a", { ...KEY, ifMatch }), { ...first, duplicate: true });
  assertEquals(await codeOfRejection(bus.publish("t", "a", { idempotencyKey: "other", ifMatch })), "seq_mismatch");
});

Deno.test("MessageBus.publish forgets a key whose publish was refused", async () => {
  const { bus, clock } = setUp({ maxPayloadBytes: 3, maxMessages: 1, discard: "new" });
  assertEquals(await codeOfRejection(bus.publish("t", "long", KEY)), "too_large");
  assertEquals(bus.topics(), []);
  assertEquals((await bus.publish("t", "a", KEY)).id, 0);
  const other = { idempotencyKey: "other" };
  assertEquals(await codeOfRejection(bus.publish("t", "b", other)), "topic_full");
  assertEquals(codeOf(() => bus.put("t", "b", other)), "topic_full");
  bus.get("t");
  clock.tick(1);
  assertEquals((await bus.publish("t", "c", other)).id, 1);
});

Deno.test("MessageBus.publish tells topics apart, and a topic from an earlier one of its name", async () => {
  const { bus } = setUp();
  for (const topic of ["t", "u", "t/k"]) assertEquals((await bus.publish(topic, "a", KEY)).duplicate, undefined);
  // If topic and key were joined somehow these would be the same.
  for (const [topic, key] of [["a", "b/c"], ["a/b", "c"], ["a/b/c", "x"], ["ab", "c"], ["a", "bc"]] as const) {
    assertEquals((await bus.publish(topic, "a", { idempotencyKey: key })).duplicate, undefined, `${topic} ${key}`);
  }
  await bus.delete("t");
  const again = await bus.publish("t", "b", KEY);
  assertEquals([again.id, again.duplicate], [0, undefined]);
});

Deno.test("MessageBus.publish: keys are told apart exactly, whatever is in them", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 20 }),
    (keys) => {
      const { bus } = setUp();
      keys.forEach((idempotencyKey, id) => assertEquals(bus.put("t", "a", { idempotencyKey }).id, id));
      keys.forEach((idempotencyKey, id) => assertEquals(bus.put("t", "a", { idempotencyKey }).id, id));
      assertEquals(bus.put("t", "a", { idempotencyKey: "__proto__" }).id, keys.length);
    },
  ));
});

Deno.test("MessageBus.put gives the message that was published before, while it is retained and later", () => {
  const { bus, clock } = setUp({ ttlMs: 1000 });
  const options = { ...KEY, contentType: "text/plain", key: "x" };
  const first = bus.put("t", "a", options);
  clock.tick(5);
  assertEquals(bus.put("t", "a", options) === first, true);
  clock.tick(1000);
  bus.put("t", "b");
  const again = bus.put("t", "a", options);
  assertEquals([again.id, again.text(), again.createdMs, again.key], [0, "a", first.createdMs, "x"]);
  assertEquals([again.topic, bus.topic("t")!.seq], [first.topic, 2]);
});

Deno.test("MessageBus.put and publish know each other's repeats", async () => {
  const { bus } = setUp();
  const message = bus.put("t", "a", KEY);
  const { id, cursor, duplicate } = await bus.publish("t", "a", KEY);
  assertEquals([id, cursor, duplicate], [message.id, message.cursor, true]);
  await bus.publish("t", "b", { idempotencyKey: "other" });
  assertEquals(bus.put("t", "b", { idempotencyKey: "other" }).id, 1);
});

Deno.test("MessageBus.publish: repeats that aren't awaited are repeats all the same", async () => {
  const { bus } = setUp();
  const receipts = await Promise.all([0, 1, 2].map(() => bus.publish("t", "a", KEY)));
  assertEquals(receipts.map(({ id, duplicate }) => [id, duplicate]), [[0, undefined], [0, true], [0, true]]);
});

Deno.test("MessageBus.publish: a repeat waits for the first to be stored, and is answered as it was", async () => {
  const store = new LaterStore();
  const { bus } = setUp({ store });
  const receipts = [bus.publish("t", "a", KEY), bus.publish("t", "a", KEY), bus.publish("t", "b", KEY)]
    .map((receipt) => receipt.catch(({ code }) => code));
  assertEquals(store.waiting, ["append 1 to t"]);
  await store.answer();
  const [first, second, third] = await Promise.all(receipts);
  assertEquals([second, third], [{ ...first, duplicate: true }, "idempotency_conflict"]);
  assertEquals([store.waiting, store.kept.messages], [[], 1]);
});

Deno.test("MessageBus.publish: if the first isn't stored, the first repeat publishes, and the next one waits for that", async () => {
  const store = new LaterStore();
  const { bus } = setUp({ store });
  const [first, second, third] = [0, 1, 2].map(() =>
    bus.publish("t", "a", KEY).then(({ id, duplicate }) => [id, duplicate], ({ message }) => message)
  );
  await store.refuse();
  assertEquals([await first, store.waiting], ["the disk is full", ["append 1 to t"]]);
  await store.answer();
  assertEquals([await second, await third, store.kept.messages], [[0, undefined], [0, true], 1]);
});

Deno.test("MessageBus.publish: a repeat that waits while the topic is deleted is published in the next one", async () => {
  const store = new LaterStore();
  const { bus } = setUp({ store });
  const first = bus.publish("t", "a", KEY);
  const deleted = bus.delete("t");
  const second = bus.publish("t", "a", KEY);
  assertEquals(store.waiting, ["append 1 to t", "remove t"]);
  await store.answerAll();
  assertEquals([(await first).id, await deleted, store.waiting], [0, true, ["append 1 to t"]]);
  await store.answer();
  const receipt = await second;
  assertEquals([receipt.id, receipt.duplicate, store.kept], [0, undefined, { topics: 1, messages: 1 }]);
  assertEquals(receipt.cursor === (await first).cursor, false);
});

Deno.test("MessageBus.publish: a repeat that waits while the bus is closed is refused", async () => {
  const store = new LaterStore();
  const { bus } = setUp({ store });
  const first = bus.publish("t", "a", KEY).catch(({ message }) => message);
  const second = codeOfRejection(bus.publish("t", "a", KEY));
  await bus.close();
  await store.refuse();
  assertEquals([await first, await second], ["the disk is full", "already_closed"]);
});

Deno.test("MessageBus.publish tells the store the key, the fingerprint and how long they count", async () => {
  const asked: unknown[] = [];
  class Witness extends MemoryStore {
    override append(append: Append): number {
      asked.push(append.idempotency);
      return super.append(append);
    }
  }
  const { bus, clock } = setUp({ store: new Witness() });
  await bus.publish("t", "hello", KEY);
  bus.put("t", "hello");
  bus.put("t", "hello", { idempotencyKey: "other" });
  const untilMs = clock.now() + WINDOW_MS;
  const fingerprint = fingerprintOf("publish", [new TextEncoder().encode("hello")]);
  assertEquals(asked, [{ key: "k", fingerprint, untilMs }, undefined, { key: "other", fingerprint, untilMs }]);
});

Deno.test("MessageBus keeps an idle topic as long as its keys count", async () => {
  const { bus, clock } = setUp({ ttlMs: 1000, topicIdleMs: 1000 });
  await bus.publish("t", "a", KEY);
  clock.tick(WINDOW_MS - 1);
  assertEquals((await bus.publish("t", "a", KEY)).duplicate, true);
  clock.tick(10_000);
  assertEquals(bus.topics(), []);
});

/** Publishes as {@linkcode Dedupe} sees them. */
function remembering({ maxKeys, windowMs = WINDOW_MS }: { maxKeys?: number; windowMs?: number } = {}) {
  const clock = new TestClock();
  const dedupe = new Dedupe({ clock, schedule: new Schedule(clock), windowMs, maxKeys });
  const topicOf = (name: string) =>
    new Topic({ name, ttlMs: 0, createdMs: 0, epoch: "0" }, { nowMs: 0, timeline: new Timeline(new TestClock()) });
  const isKnown = (topic: Topic, key: string) => {
    let isKnown = true;
    dedupe.onceNow({ key, fingerprint: "f" }, topic, () => {
      isKnown = false;
      return {};
    });
    return isKnown;
  };
  return { clock, dedupe, topicOf, isKnown };
}

Deno.test("Dedupe forgets the oldest key for another one when there are too many, whatever its topic, and counts that", () => {
  const { clock, dedupe, topicOf, isKnown } = remembering({ maxKeys: 3 });
  const [t, u] = [topicOf("t"), topicOf("u")];
  for (const [topic, key] of [[t, "a"], [u, "a"], [t, "b"], [u, "b"]] as const) {
    isKnown(topic, key);
    clock.tick(1);
  }
  assertEquals([dedupe.size, dedupe.forgotten], [3, 1]);
  assertEquals([isKnown(u, "a"), isKnown(t, "b"), isKnown(u, "b")], [true, true, true]);
  assertEquals([isKnown(t, "a"), dedupe.forgotten], [false, 2]);
  assertEquals(isKnown(u, "a"), false);
});

Deno.test("Dedupe gives memory back when the time is over, with one timer, and counts that as nothing", () => {
  const { clock, dedupe, topicOf, isKnown } = remembering();
  const topic = topicOf("t");
  assertEquals(clock.timers, 0);
  for (let i = 0; i < 100; i++) {
    isKnown(topic, `${i}`);
    clock.tick(10);
  }
  assertEquals([dedupe.size, clock.timers, dedupe.has(topic)], [100, 1, true]);
  clock.tick(WINDOW_MS + 1000);
  assertEquals([dedupe.size, clock.timers, dedupe.has(topic), dedupe.forgotten], [0, 0, false, 0]);
});

Deno.test("Dedupe.forget forgets what it knows of a topic and nothing else", () => {
  const { dedupe, topicOf, isKnown } = remembering();
  const [t, u] = [topicOf("t"), topicOf("t")];
  for (const topic of [t, u]) isKnown(topic, "a");
  dedupe.forget(t);
  assertEquals([dedupe.size, dedupe.has(t), dedupe.has(u)], [1, false, true]);
  assertEquals([isKnown(u, "a"), isKnown(t, "a")], [true, false]);
});

Deno.test("Dedupe remembers nothing of a topic that was deleted while the store was asked", async () => {
  const { dedupe, topicOf } = remembering();
  const topic = topicOf("t");
  const { promise, resolve } = Promise.withResolvers<object>();
  const answer = dedupe.once({ key: "a", fingerprint: "f" }, () => topic, () => promise);
  assertEquals(dedupe.has(topic), true);
  topic.deleted = true;
  dedupe.forget(topic);
  resolve({ id: 0 });
  assertEquals([await answer, dedupe.has(topic), dedupe.size], [{ id: 0 }, false, 0]);
});

Deno.test("Dedupe: what fails is not known", () => {
  const { dedupe, topicOf, isKnown } = remembering();
  const topic = topicOf("t");
  const fail = () => {
    throw new Error("no");
  };
  assertThrows(() => dedupe.onceNow({ key: "a", fingerprint: "f" }, topic, fail), Error, "no");
  assertEquals([dedupe.size, dedupe.has(topic), isKnown(topic, "a")], [0, false, false]);
});

Deno.test("Dedupe remembers 100 000 keys, and a flood of more takes no more", () => {
  const { dedupe, topicOf, isKnown } = remembering();
  const topics = Array.from({ length: 7 }, (_, i) => topicOf(`t${i}`));
  for (let i = 0; i < MAX_DEDUPE_KEYS + 5000; i++) isKnown(topics[i % 7]!, `${i}`);
  assertEquals([MAX_DEDUPE_KEYS, dedupe.size, dedupe.forgotten], [100_000, 100_000, 5000]);
  for (const topic of topics) dedupe.forget(topic);
  assertEquals(dedupe.size, 0);
});

Deno.test("MessageBus.publish that conflicts says the key in one line", async () => {
  const { bus } = setUp();
  const idempotencyKey = `${"\u2028\u202e"}${"x".repeat(100)}`;
  await bus.publish("t", "a", { idempotencyKey });
  const { message } = await bus.publish("t", "b", { idempotencyKey }).then(() => new Error(), (error) => error);
  assertStringIncludes(message, 'Cannot publish with idempotency key "\\u2028\\u202exxx');
  assertEquals(message.length < 250, true);
});

type Step =
  | { readonly do: "publish"; readonly topic: string; readonly key: string; readonly body: string }
  | { readonly do: "delete"; readonly topic: string }
  | { readonly do: "tick"; readonly ms: number }
  | { readonly do: "answer" | "refuse"; readonly nth: number };

const topicArbitrary = fc.constantFrom("t", "u");
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      topic: topicArbitrary,
      key: fc.constantFrom("k", "l"),
      body: fc.constantFrom("a", "a", "a", "b"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), topic: topicArbitrary }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("tick" as const), ms: fc.nat(80) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("answer" as const), nth: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("refuse" as const), nth: fc.nat(9) }) },
);

Deno.test("MessageBus.publish over a store that answers later and refuses: one message for a key and topic in a window", async () => {
  const windowMs = 100;
  let windows = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 60, size: "max" }), async (steps) => {
      const store = new LaterStore();
      const { bus, clock } = setUp({ store, dedupeWindowMs: windowMs });
      /** The answers: the message, the topic and key, the body. */
      const firsts: { id: string; asked: string; body: string }[] = [];
      const repeats: { id: string; asked: string; body: string }[] = [];
      const conflicts: { asked: string; body: string }[] = [];
      const unexpected: unknown[] = [];
      let open = 0;
      const run = (step: Step): unknown => {
        switch (step.do) {
          case "publish": {
            const { topic, key, body } = step;
            open++;
            return bus.publish(topic, body, { idempotencyKey: key }).then(({ cursor, duplicate }) => {
              const asked = `${topic}@${cursor.split("@")[1]} ${key}`;
              const id = `${topic} ${cursor}`;
              if (duplicate) repeats.push({ id, asked, body });
              else firsts.push({ id, asked, body });
            }, (error) => {
              if (error.code === "idempotency_conflict") conflicts.push({ asked: `${topic} ${key}`, body });
              else if (error.message !== "the disk is full") unexpected.push(error);
            }).finally(() => open--);
          }
          case "delete":
            return bus.delete(step.topic).catch(() => {});
          case "tick":
            return clock.tick(step.ms);
          case "answer":
            return store.answerOne(step.nth);
          case "refuse":
            return store.refuseOne(step.nth);
        }
      };
      const created = new Map<string, number>();
      const subscription = bus.subscribe("*");
      const note = async () => {
        for (let i = 0; i < 20; i++) await undefined;
        clock.flush();
        for (let message = subscription.take(); message !== undefined; message = subscription.take()) {
          created.set(`${message.topic.name} ${message.cursor}`, message.createdMs);
        }
      };
      for (const step of steps) {
        run(step);
        await note();
      }
      for (let i = 0; i < 500 && open > 0; i++) {
        store.answerOne(0);
        await note();
      }
      assertEquals([open, unexpected], [0, []]);
      // Every first publish is a message, and there are no others.
      assertEquals(new Set(firsts.map(({ id }) => id)).size, firsts.length);
      for (const id of created.keys()) assertEquals(firsts.filter((first) => first.id === id).length, 1, id);
      // A repeat is answered as a first one of the same topic, key and body.
      for (const { id, asked, body } of repeats) {
        assertEquals(firsts.some((first) => first.id === id && first.asked === asked && first.body === body), true);
      }
      // Who was refused met somebody with another body.
      for (const { asked, body } of conflicts) {
        const [topic, key] = asked.split(" ");
        const others = firsts.filter((first) => first.asked.startsWith(`${topic}@`) && first.asked.endsWith(` ${key}`));
        assertEquals(others.some((first) => first.body !== body), true);
      }
      // Of a topic that was deleted at once nobody has seen the messages.
      const seen = firsts.filter(({ id }) => created.has(id));
      for (const [asked, same] of Map.groupBy(seen, ({ asked }) => asked)) {
        const times = same.map(({ id }) => created.get(id)!).sort((a, b) => a - b);
        times.slice(1).forEach((ms, i) => assertEquals(ms - times[i]! >= windowMs, true, `${asked} twice in a window`));
        windows = Math.max(windows, times.length);
      }
    }),
    { numRuns: 500 },
  );
  assertEquals(windows > 1, true, "no key was used again after its window");
});
