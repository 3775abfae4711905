import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { lineLength, MAX_RUN_BYTES, MAX_RUN_MESSAGES, type Run } from "../../lib/bus/run.ts";
import type { Subscription } from "../../lib/bus/subscription.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals, assertStrictEquals } from "../deps.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ...options }) };
}

/** The next run of a subscription, past events. */
function runOf(subscription: Subscription, limits = {}): Run {
  for (;;) {
    const delivery = subscription.read(limits);
    assert(typeof delivery === "object", `nothing to read, but ${delivery}`);
    if (delivery.event === "messages") return delivery;
  }
}

const idsOf = (run: Run) => run.messages.map(({ id }) => id);

Deno.test("Subscription.read gives all that are at the same position the same run", () => {
  const { bus, clock } = setUp();
  const runs: Run[] = [];
  for (let i = 0; i < 3; i++) bus.subscribe("foo", { onReady: (subscription) => runs.push(runOf(subscription)) });
  bus.subscribe("*", { onReady: (subscription) => runs.push(runOf(subscription)) });
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  clock.flush();
  assertEquals(runs.map(idsOf), [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]]);
  for (const run of runs) assertStrictEquals(run, runs[0]);
});

Deno.test("Subscription.read gives who lags a run of its own, and shares it with those that lag as much", () => {
  const { bus, clock } = setUp();
  const [early, late, later] = [bus.subscribe("foo"), bus.subscribe("foo"), bus.subscribe("foo")];
  bus.put("foo", "a");
  runOf(early);
  clock.flush();
  clock.flush();
  bus.put("foo", "b");
  const [first, second, third] = [runOf(early), runOf(late), runOf(later)];
  assertEquals([idsOf(first), idsOf(second)], [[1], [0, 1]]);
  assertStrictEquals(third, second);
});

Deno.test("Subscription.read gives a run that ended with the log again when the log has more", () => {
  const { bus } = setUp();
  const [first, second] = [bus.subscribe("foo"), bus.subscribe("foo")];
  bus.put("foo", "a");
  assertEquals(idsOf(runOf(first)), [0]);
  bus.put("foo", "b");
  assertEquals(idsOf(runOf(second)), [0, 1]);
  assertEquals(idsOf(runOf(first)), [1]);
});

Deno.test("Subscription.read shares a run that is full though the log has more by then", () => {
  const { bus } = setUp();
  const [first, second] = [bus.subscribe("foo"), bus.subscribe("foo")];
  for (let i = 0; i <= MAX_RUN_MESSAGES; i++) bus.put("foo", "");
  const run = runOf(first);
  bus.put("foo", "");
  assertStrictEquals(runOf(second), run);
});

Deno.test("Subscription.read keeps no run beyond the turn after the one in which it was made", () => {
  const { bus, clock } = setUp();
  const [first, second] = [bus.subscribe("foo"), bus.subscribe("foo")];
  bus.put("foo", "a");
  const run = runOf(first);
  clock.flush();
  const again = runOf(second);
  assert(again !== run);
  assertEquals(idsOf(again), idsOf(run));
  clock.flush();
  assertEquals(clock.deferred, 0);
});

Deno.test("Subscription.read counts the bytes of a run as envelopes with a line end each", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  for (const payload of ["a", "bb", "größe"]) bus.put("foo", payload);
  const run = runOf(subscription);
  const bytes = run.messages.map((message) => encodeEnvelope(message).length + 1);
  assertEquals(run.messages.map(lineLength), bytes);
  assertEquals(run.bytes, bytes.reduce((sum, length) => sum + length, 0));
});

Deno.test("Subscription.read gives at most 1000 messages, and 64 KiB, at once", () => {
  const { bus } = setUp();
  const [many, large] = [bus.subscribe("many"), bus.subscribe("large")];
  for (let i = 0; i < 1500; i++) bus.put("many", "");
  for (let i = 0; i < 10; i++) bus.put("large", "x".repeat(10_000));
  const run = runOf(many);
  assert(run.messages.length <= MAX_RUN_MESSAGES && run.bytes <= MAX_RUN_BYTES);
  assertEquals(run.end, runOf(many).messages[0]!.id);
  assertEquals([runOf(large), runOf(large), runOf(large)].map(idsOf), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
});

Deno.test("Subscription.read gives a run that ends before what is gone, and shares it", () => {
  const { bus, clock } = setUp();
  const [first, second, alone] = [bus.subscribe("foo"), bus.subscribe("foo"), bus.subscribe("foo")];
  for (const ttlMs of [0, 0, 10, 0]) bus.put("foo", "hi", { ttlMs });
  clock.tick(10);
  const run = runOf(first);
  assertEquals(idsOf(run), [0, 1]);
  bus.put("foo", "hi");
  assertStrictEquals(runOf(second), run);
  assertEquals([runOf(alone, { maxMessages: 5 }), runOf(first), runOf(second)].map(idsOf), [[0, 1], [3, 4], [3, 4]]);
});

Deno.test("Subscription.read gives no run with what has gone since it was made, and again one that it shares", () => {
  const { bus, clock } = setUp();
  const [first, second, third] = [bus.subscribe("foo"), bus.subscribe("foo"), bus.subscribe("foo")];
  for (const ttlMs of [0, 10, 0]) bus.put("foo", "hi", { ttlMs });
  assertEquals(idsOf(runOf(first)), [0, 1, 2]);
  clock.stall(10);
  const run = runOf(second);
  assertEquals(idsOf(run), [0]);
  assertStrictEquals(runOf(third), run);
});

Deno.test("Subscription.read gives a message larger than any run alone", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  bus.put("foo", "x".repeat(MAX_RUN_BYTES));
  bus.put("foo", "y");
  assertEquals(idsOf(runOf(subscription)), [0]);
});

Deno.test("Subscription.read gives what fits into maxBytes, the same to all of whom as much does", () => {
  const { bus } = setUp();
  const subscriptions = [bus.subscribe("foo"), bus.subscribe("foo"), bus.subscribe("foo")] as const;
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  const whole = runOf(subscriptions[0]);
  const maxBytes = 2 * lineLength(whole.messages[0]!);
  const [head, same] = [runOf(subscriptions[1], { maxBytes }), runOf(subscriptions[2], { maxBytes: maxBytes + 1 })];
  assertEquals({ ids: idsOf(head), bytes: head.bytes }, { ids: [0, 1], bytes: maxBytes });
  assertStrictEquals(same, head);
  assertEquals(idsOf(runOf(subscriptions[1])), [2]);
});

Deno.test("Subscription.read says full and takes nothing if not even one message fits", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  subscription.read();
  bus.put("foo", "a");
  assertEquals(subscription.read({ maxBytes: 10 }), "full");
  assertEquals({ lag: subscription.lag, delivered: bus.totals().delivered }, { lag: 1, delivered: 0 });
  assertEquals(idsOf(runOf(subscription)), [0]);
});

Deno.test("Subscription.read gives at most maxMessages", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  const runs = [2, 2].map((maxMessages) => runOf(subscription, { maxMessages }));
  assertEquals(runs.map(idsOf), [[0, 1], [2]]);
});
