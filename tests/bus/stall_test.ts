import { MessageBus } from "../../lib/bus/bus.ts";
import type { Feed } from "../../lib/bus/feed.ts";
import type { Appointment } from "../../lib/bus/schedule.ts";
import { type SubscribeOptions, Subscriber } from "../../lib/bus/subscription.ts";
import { parseTopicPattern } from "../../lib/topic_pattern.ts";
import { assert, assertEquals } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
import { TestClock } from "./test_clock.ts";

const STALL_MS = 60_000;

/** A bus with one reader, who is told, and reads what there is at the start. */
function setUp(options: SubscribeOptions = {}) {
  const clock = new TestClock();
  const startedMs = clock.now();
  const bus = new MessageBus({ clock, ttlMs: 0 });
  const ends: string[] = [];
  const subscription = bus.subscribe("foo", {
    stallMs: STALL_MS,
    onEnd: (_, reason) => ends.push(`${reason} after ${clock.now() - startedMs}`),
    ...options,
  });
  clock.flush();
  deliveriesOf(subscription);
  const put = (payload: string) => {
    bus.put("foo", payload);
    clock.flush();
  };
  return { clock, bus, subscription, ends, put };
}

Deno.test("Subscription with stallMs ends as stalled at most a quarter late while something is unread", () => {
  const { clock, bus, ends, put } = setUp();
  clock.tick(10 * STALL_MS);
  put("a");
  clock.tick(STALL_MS - 1);
  assertEquals(ends, []);
  clock.tick(STALL_MS / 4 + 1);
  assertEquals(ends, [`stalled after ${11.25 * STALL_MS}`]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription with stallMs is never ended before stallMs from the last read, whenever that is", () => {
  for (let readMs = 0; readMs < STALL_MS / 2; readMs += STALL_MS / 40) {
    const { clock, subscription, ends, put } = setUp();
    put("a");
    put("b");
    clock.tick(readMs);
    subscription.take();
    clock.tick(STALL_MS - 1);
    assertEquals(ends, [], `read after ${readMs} ms`);
    clock.tick(STALL_MS / 4 + 1);
    assertEquals(ends.length, 1, `read after ${readMs} ms`);
  }
});

Deno.test("Subscription with stallMs is not ended while it has read everything", () => {
  const { clock, subscription, ends, put } = setUp();
  for (let i = 0; i < 10; i++) {
    put("a");
    clock.tick(STALL_MS / 2);
    deliveriesOf(subscription);
    clock.tick(3 * STALL_MS);
  }
  assertEquals(ends, []);
});

Deno.test("Subscription with stallMs is not ended while it keeps reading, however slowly", () => {
  const { clock, subscription, ends, put } = setUp();
  for (let i = 0; i < 20; i++) put("a");
  for (let i = 0; i < 20; i++) {
    clock.tick(STALL_MS - 1);
    assertEquals(subscription.take()?.id, i);
  }
  assertEquals(ends, []);
});

Deno.test("Subscription with stallMs is not ended if it takes one message for each bell and asks for no more", () => {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 0 });
  const ids: (number | undefined)[] = [];
  bus.subscribe("foo", {
    since: "latest",
    stallMs: STALL_MS,
    onReady: (subscription) => ids.push(subscription.take()?.id),
    onEnd: (_, reason) => assertEquals(reason, "not ended"),
  });
  bus.put("foo", "a");
  clock.flush();
  clock.tick(10 * STALL_MS);
  assertEquals(ids, [0]);
});

Deno.test("Subscription with stallMs is not ended if it reads before the bell", () => {
  const { clock, bus, subscription, ends } = setUp();
  bus.put("foo", "a");
  assertEquals(deliveriesOf(subscription), ["foo 0"]);
  clock.flush();
  clock.tick(10 * STALL_MS);
  assertEquals(ends, []);
});

Deno.test("Subscription with stallMs whose reader finds no room for a message has stalled", () => {
  const { clock, subscription, ends, put } = setUp();
  put("a");
  for (let i = 0; i < 5; i++) {
    assertEquals(subscription.read({ maxBytes: 1 }), "full");
    clock.tick(STALL_MS / 4);
  }
  assertEquals(ends.length, 1);
});

Deno.test("Subscription with stallMs ends also if all that it has not read has expired", () => {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 10 });
  const reasons: string[] = [];
  const subscription = bus.subscribe("foo", { stallMs: STALL_MS, onEnd: (_, reason) => reasons.push(reason) });
  deliveriesOf(subscription);
  bus.put("foo", "a");
  clock.flush();
  clock.tick(2 * STALL_MS);
  assertEquals(reasons, ["stalled"]);
});

Deno.test("Subscription without stallMs may take as long as it likes", () => {
  const { clock, subscription, ends, put } = setUp({ stallMs: undefined });
  put("a");
  clock.tick(1000 * STALL_MS);
  assertEquals({ ends, lag: subscription.lag }, { ends: [], lag: 1 });
});

Deno.test("Subscription that stalled gives nothing more and keeps its cursor", () => {
  const { clock, bus, subscription, put } = setUp();
  put("a");
  clock.tick(2 * STALL_MS);
  assertEquals({ next: subscription.read(), lag: subscription.lag }, { next: undefined, lag: 0 });
  assertEquals(subscription.cursor, `0@${bus.topic("foo")?.cursor.split("@")[1]}`);
});

Deno.test("Subscription with stallMs is looked after only while it has something to read", () => {
  const clock = new TestClock();
  let readable = true;
  const watches = new Set<Appointment>();
  const host = {
    delivered: () => {},
    call: () => {},
    unsubscribe: () => {},
    watch: () => {
      const appointment = { value: { due: () => Infinity }, key: 0 };
      watches.add(appointment);
      return appointment;
    },
    unwatch: (appointment: Appointment) => void watches.delete(appointment),
  };
  const feed = {
    get readable() {
      return readable;
    },
    read: () => undefined,
  } as unknown as Feed;
  const subscriber = new Subscriber(host, parseTopicPattern("foo"), feed, { stallMs: STALL_MS });
  for (let i = 0; i < 10; i++) {
    readable = true;
    subscriber.toRing();
    subscriber.wake();
    assertEquals(watches.size, 1);
    readable = false;
    subscriber.read();
    assert(!subscriber.tend(), "looked after again");
    assertEquals(watches.size, 0);
  }
  assertEquals(clock.timers, 0);
});

Deno.test("Subscription.onReady is called again for a reader that takes one message for each call", () => {
  const clock = new TestClock();
  const bus = new MessageBus({ clock });
  const taken: (string | undefined)[] = [];
  bus.subscribe("foo", { onReady: (subscription) => void taken.push(subscription.take()?.text()) });
  clock.flush();
  for (const payload of ["a", "b", "c"]) {
    bus.put("foo", payload);
    clock.flush();
  }
  assertEquals(taken, [undefined, "a", "b", "c"]);
});
