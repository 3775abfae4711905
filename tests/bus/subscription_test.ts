import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { SubscribeOptions, Subscription } from "../../lib/bus/subscription.ts";
import type { Message } from "../../lib/message.ts";
import { assertEquals, assertRejects } from "../deps.ts";
import { codeOf } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";
import { uncaughtOf } from "./uncaught.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ...options }) };
}

/** Takes all there is. */
function drainOf(subscription: Subscription): string[] {
  const texts: string[] = [];
  for (let message = subscription.take(); message !== undefined; message = subscription.take()) {
    texts.push(message.text());
  }
  return texts;
}

/** The next message of an iterator, as text. */
async function next(iterator: AsyncIterator<Message>): Promise<string | undefined> {
  const { done, value } = await iterator.next();
  return done ? undefined : value.text();
}

Deno.test("MessageBus.subscribe gives what is published from then on", () => {
  const { bus } = setUp();
  bus.put("foo", "before");
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  bus.put("bar", "other topic");
  bus.put("foo", "b");
  assertEquals(drainOf(subscription), ["a", "b"]);
});

Deno.test("MessageBus.subscribe gives every message to every subscription", () => {
  const { bus } = setUp();
  const subscriptions = [bus.subscribe("foo"), bus.subscribe("/foo/")];
  bus.put("foo", "a");
  assertEquals(subscriptions.map(drainOf), [["a"], ["a"]]);
});

Deno.test("MessageBus.subscribe never takes from the queue, nor the queue from a subscription", () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  bus.put("foo", "b");
  assertEquals(subscription.take()?.text(), "a");
  assertEquals(bus.get("foo")?.text(), "a");
  assertEquals(bus.get("foo")?.text(), "b");
  assertEquals(subscription.take()?.text(), "b");
});

Deno.test("MessageBus.subscribe doesn't make the topic, which then begins with id 0", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  const subscription = bus.subscribe("foo", { since: "latest", onReady: () => bells++ });
  assertEquals(bus.topics(), []);
  bus.put("foo", "a");
  clock.flush();
  assertEquals(bells, 1);
  assertEquals(subscription.take()?.id, 0);
  assertEquals(bus.topic("foo")?.subscribers, 1);
});

Deno.test("MessageBus.subscribe on a missing topic gives its first message whatever since says", () => {
  const { bus } = setUp();
  const sinces: SubscribeOptions["since"][] = ["latest", "earliest", { next: 7 }, { next: 7, epoch: "abc" }];
  const subscriptions = sinces.map((since) => bus.subscribe("foo", { since }));
  bus.put("foo", "a");
  assertEquals(subscriptions.map((subscription) => subscription.take()?.id), [0, 0, 0, 0]);
});

Deno.test("MessageBus.subscribe since earliest begins with the oldest retained message", () => {
  const { bus } = setUp({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  assertEquals(drainOf(bus.subscribe("foo", { since: "earliest" })), ["b", "c"]);
});

Deno.test("MessageBus.subscribe since a position begins there, with its epoch or without", () => {
  const { bus } = setUp();
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  const { epoch } = bus.get("foo")!.topic;
  assertEquals(drainOf(bus.subscribe("foo", { since: { next: 1 } })), ["b", "c"]);
  assertEquals(drainOf(bus.subscribe("foo", { since: { next: 1, epoch } })), ["b", "c"]);
});

Deno.test("MessageBus.subscribe since the end of the log waits for the next message", () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const subscription = bus.subscribe("foo", { since: { next: 1 } });
  assertEquals(drainOf(subscription), []);
  bus.put("foo", "b");
  assertEquals(drainOf(subscription), ["b"]);
});

Deno.test("MessageBus.subscribe since a dropped position begins with the oldest retained message", () => {
  const { bus } = setUp({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) bus.put("foo", payload);
  assertEquals(drainOf(bus.subscribe("foo", { since: { next: 0 } })), ["b", "c"]);
});

Deno.test("MessageBus.subscribe since a position of another epoch begins with the oldest retained message", () => {
  const { bus } = setUp();
  for (const payload of ["a", "b"]) bus.put("foo", payload);
  assertEquals(drainOf(bus.subscribe("foo", { since: { next: 1, epoch: "other" } })), ["a", "b"]);
});

Deno.test("MessageBus.subscribe since a position beyond the end begins with the oldest retained message", () => {
  const { bus } = setUp();
  for (const payload of ["a", "b"]) bus.put("foo", payload);
  assertEquals(drainOf(bus.subscribe("foo", { since: { next: 3 } })), ["a", "b"]);
});

Deno.test("MessageBus.subscribe refuses positions that no message can have", () => {
  const { bus } = setUp();
  for (const next of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
    assertEquals(codeOf(() => bus.subscribe("foo", { since: { next } })), "bad_cursor");
  }
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription.onReady is called once however many messages a turn brings", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  const subscription = bus.subscribe("foo", { onReady: () => bells++ });
  for (let i = 0; i < 100; i++) bus.put("foo", "hi");
  assertEquals(bells, 0);
  clock.flush();
  assertEquals(bells, 1);
  assertEquals(drainOf(subscription).length, 100);
});

Deno.test("Subscription.onReady is called in every turn that brings messages, and in no other", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  bus.subscribe("foo", {
    onReady: (subscription) => {
      bells++;
      drainOf(subscription);
    },
  });
  bus.put("foo", "a");
  clock.flush();
  clock.flush();
  assertEquals(bells, 1);
  bus.put("foo", "b");
  bus.put("bar", "other topic");
  clock.flush();
  assertEquals(bells, 2);
});

Deno.test("Subscription.onReady is not called again before the reader has read all there was", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  const subscription = bus.subscribe("foo", { onReady: () => bells++ });
  clock.flush();
  subscription.take();
  for (const payload of ["a", "b", "c"]) {
    bus.put("foo", payload);
    clock.flush();
  }
  assertEquals(bells, 2);
  // One of three is read, and then all of them.
  subscription.take();
  bus.put("foo", "d");
  clock.flush();
  assertEquals(bells, 2);
  drainOf(subscription);
  bus.put("foo", "e");
  clock.flush();
  assertEquals(bells, 3);
});

Deno.test("Subscription.onReady is called once in the turn in which it began, however often it was read before", () => {
  const { bus, clock } = setUp();
  for (const topics of ["foo", "foo,bar"]) {
    let bells = 0;
    const subscription = bus.subscribe(topics, { onReady: () => bells++ });
    assertEquals(drainOf(subscription), []);
    bus.put("foo", "a");
    clock.flush();
    assertEquals(bells, 1);
  }
});

Deno.test("Subscription.onReady is not called for what was read before the bell", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  const subscription = bus.subscribe("foo", { onReady: () => bells++ });
  clock.flush();
  drainOf(subscription);
  bus.put("foo", "a");
  assertEquals(drainOf(subscription), ["a"]);
  clock.flush();
  assertEquals(bells, 1);
});

Deno.test("Subscription.onReady is not called in the middle of a turn in which somebody subscribes to several topics", () => {
  const { bus, clock } = setUp();
  let bells = 0;
  bus.subscribe("foo", {
    onReady: (subscription) => {
      bells++;
      drainOf(subscription);
    },
  });
  clock.flush();
  bus.put("foo", "a");
  bus.subscribe("*");
  assertEquals(bells, 1);
  bus.put("foo", "b");
  clock.flush();
  assertEquals(bells, 2);
});

Deno.test("Subscription.onReady is called at the start if the log has something already", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  const got: string[] = [];
  bus.subscribe("foo", { since: "earliest", onReady: (subscription) => got.push(...drainOf(subscription)) });
  assertEquals(got, []);
  clock.flush();
  assertEquals(got, ["a"]);
});

Deno.test("Subscription.onReady is called at the start to read caught-up, also if there is nothing ahead", () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  const deliveries: unknown[] = [];
  bus.subscribe("foo", { onReady: (subscription) => deliveries.push(subscription.read(), subscription.read()) });
  clock.flush();
  assertEquals(deliveries, [{ event: "caught-up", cursor: bus.topic("foo")?.cursor }, undefined]);
  clock.flush();
  assertEquals(clock.deferred, 0);
});

Deno.test("Subscription.onReady may publish, which rings again in the next turn", () => {
  const { bus, clock } = setUp();
  const got: string[][] = [];
  bus.subscribe("foo", {
    onReady: (subscription) => {
      got.push(drainOf(subscription));
      if (got.length < 3) bus.put("foo", `echo ${got.length}`);
    },
  });
  bus.put("foo", "a");
  clock.flush();
  assertEquals(got, [["a"]]);
  clock.flush();
  clock.flush();
  clock.flush();
  assertEquals(got, [["a"], ["echo 1"], ["echo 2"]]);
});

Deno.test("Subscription.onReady may close its own and other subscriptions", () => {
  const { bus, clock } = setUp();
  const called: string[] = [];
  const subscribe = (label: string) =>
    bus.subscribe("foo", {
      label,
      onReady: () => {
        called.push(label);
        for (const subscription of subscriptions) subscription.close();
      },
    });
  const subscriptions = [subscribe("a"), subscribe("b")];
  bus.put("foo", "hi");
  clock.flush();
  assertEquals(called, ["a"]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription.onReady that throws surfaces as uncaught, and all others are told", async () => {
  const { bus, clock } = setUp();
  const told: string[] = [];
  const tell = (subscription: Subscription) => told.push(...drainOf(subscription));
  bus.subscribe("a", {
    onReady: () => {
      throw new Error("a reader's bug");
    },
  });
  bus.subscribe("a", { onReady: tell });
  bus.subscribe("b", { onReady: tell });
  bus.put("a", "to a");
  bus.put("b", "to b");
  const errors = await uncaughtOf(() => clock.flush());
  assertEquals(errors.map((error) => (error as Error).message), ["a reader's bug"]);
  assertEquals(told, ["to a", "to b"]);
  bus.put("b", "again");
  clock.flush();
  assertEquals(told, ["to a", "to b", "again"]);
});

Deno.test("Subscription.onEnd that throws surfaces as uncaught, and all others end", async () => {
  const { bus } = setUp();
  const ended: string[] = [];
  bus.put("foo", "hi");
  bus.subscribe("foo", {
    onEnd: () => {
      throw new Error("a reader's bug");
    },
  });
  bus.subscribe("foo", { onEnd: (_, reason) => ended.push(reason) });
  const errors = await uncaughtOf(() => void bus.delete("foo"));
  assertEquals(errors.length, 1);
  assertEquals(ended, ["deleted"]);
});

Deno.test("Subscription.take loses only what retention dropped while its reader was slow", () => {
  const { bus } = setUp({ maxMessages: 3 });
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  assertEquals(subscription.take()?.text(), "a");
  for (const payload of ["b", "c", "d", "e"]) bus.put("foo", payload);
  assertEquals(drainOf(subscription), ["c", "d", "e"]);
});

Deno.test("Subscription.take gives no message whose time has passed, though nothing has swept", () => {
  const { bus, clock } = setUp({ ttlMs: 1000 });
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  clock.stall(500);
  bus.put("foo", "b");
  clock.stall(500);
  assertEquals(subscription.lag, 1);
  assertEquals(drainOf(subscription), ["b"]);
});

Deno.test("Subscription.lag counts the retained messages ahead", () => {
  const { bus } = setUp({ maxMessages: 3 });
  const subscription = bus.subscribe("foo");
  assertEquals(subscription.lag, 0);
  for (const payload of ["a", "b", "c", "d"]) bus.put("foo", payload);
  assertEquals(subscription.lag, 3);
  subscription.take();
  assertEquals(subscription.lag, 2);
});

Deno.test("Subscription.close ends it once, with the reason closed, and gives nothing more", () => {
  const { bus, clock } = setUp();
  const reasons: string[] = [];
  const subscription = bus.subscribe("foo", {
    onReady: () => reasons.push("ready"),
    onEnd: (_, reason) => reasons.push(reason),
  });
  bus.put("foo", "a");
  subscription.close();
  subscription.close();
  clock.flush();
  assertEquals(reasons, ["closed"]);
  assertEquals({ next: subscription.take(), lag: subscription.lag }, { next: undefined, lag: 0 });
  assertEquals({ now: bus.totals().subscriptions, topic: bus.topic("foo")?.subscribers }, { now: 0, topic: 0 });
});

Deno.test("Subscription.close leaves the other subscriptions of the topic alone", () => {
  const { bus } = setUp();
  bus.put("foo", "before");
  const [first, second] = [bus.subscribe("foo"), bus.subscribe("foo")];
  first.close();
  bus.put("foo", "a");
  assertEquals(drainOf(second), ["a"]);
  assertEquals(bus.topic("foo")?.subscribers, 1);
});

Deno.test("Subscription.close by using ends it with the block", () => {
  const { bus } = setUp();
  {
    using _subscription = bus.subscribe("foo");
    assertEquals(bus.totals().subscriptions, 1);
  }
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription.close is done by the abort of its signal", () => {
  const { bus } = setUp();
  const controller = new AbortController();
  const reasons: string[] = [];
  bus.subscribe("foo", { signal: controller.signal, onEnd: (_, reason) => reasons.push(reason) });
  controller.abort();
  assertEquals(reasons, ["closed"]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("MessageBus.subscribe with a signal that has aborted gives a subscription that has ended", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const reasons: string[] = [];
  const subscription = bus.subscribe("foo", {
    since: "earliest",
    signal: AbortSignal.abort(),
    onEnd: (_, reason) => reasons.push(reason),
  });
  assertEquals(reasons, ["closed"]);
  for await (const _message of subscription) assertEquals("a message", "none");
});

Deno.test("Subscription.close lets go of its signal", () => {
  const { bus } = setUp();
  const signal = new AbortController().signal;
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
  const subscription = bus.subscribe("foo", { signal });
  assertEquals(listeners, 1);
  subscription.close();
  assertEquals(listeners, 0);
});

Deno.test("Subscription.label is what was given, or empty", () => {
  const { bus } = setUp();
  assertEquals(bus.subscribe("foo", { label: "[::1]:55341" }).label, "[::1]:55341");
  assertEquals(bus.subscribe("foo").label, "");
});

Deno.test("MessageBus.delete ends the subscriptions of the topic with the reason deleted", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  bus.put("bar", "a");
  const ended: string[] = [];
  const onEnd = (subscription: Subscription, reason: string) => ended.push(`${subscription.topic} ${reason}`);
  const subscription = bus.subscribe("foo", { since: "earliest", onEnd });
  bus.subscribe("foo", { onEnd });
  bus.subscribe("bar", { onEnd });
  await bus.delete("foo");
  assertEquals(ended, ["foo deleted", "foo deleted"]);
  assertEquals(subscription.take(), undefined);
  assertEquals(bus.totals().subscriptions, 1);
});

Deno.test("MessageBus.delete lets whoever is told subscribe again at once, for the next topic of that name", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const again: Subscription[] = [];
  const onEnd = () => {
    if (again.length < 9) again.push(bus.subscribe("foo", { onEnd }));
  };
  bus.subscribe("foo", { onEnd });
  bus.subscribe("foo", { onEnd });
  await bus.delete("foo");
  assertEquals(again.length, 2);
  bus.put("foo", "b");
  assertEquals(again.map(drainOf), [["b"], ["b"]]);
});

Deno.test("MessageBus.drain rings for what is new, then ends every subscription with the reason drained", () => {
  const { bus } = setUp();
  const events: string[] = [];
  bus.subscribe("foo", {
    onReady: (subscription) => events.push(...drainOf(subscription)),
    onEnd: (_, reason) => events.push(reason),
  });
  bus.subscribe("no such topic yet", { onEnd: (_, reason) => events.push(reason) });
  bus.put("foo", "a");
  bus.drain();
  assertEquals(events, ["a", "drained", "drained"]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("MessageBus.drain ends each subscription once, also those that another closes at its end", () => {
  const { bus } = setUp();
  const reasons: string[] = [];
  const closeAll = (_: Subscription, reason: string) => {
    reasons.push(reason);
    for (const subscription of subscriptions) subscription.close();
  };
  const subscriptions = [bus.subscribe("foo", { onEnd: closeAll }), bus.subscribe("foo", { onEnd: closeAll })];
  bus.drain();
  assertEquals(reasons, ["drained", "closed"]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("MessageBus.close ends every subscription with the reason drained", async () => {
  const { bus } = setUp();
  const reasons: string[] = [];
  bus.subscribe("foo", { onEnd: (_, reason) => reasons.push(reason) });
  await bus.close();
  assertEquals(reasons, ["drained"]);
});

Deno.test("Subscription iterates over what is there and what comes", async () => {
  const { bus, clock } = setUp();
  bus.put("foo", "a");
  const iterator = bus.subscribe("foo", { since: "earliest" })[Symbol.asyncIterator]();
  assertEquals(await next(iterator), "a");
  const later = next(iterator);
  bus.put("foo", "b");
  clock.flush();
  assertEquals(await later, "b");
});

Deno.test("Subscription iterates until it is closed", async () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  const end = next(subscription[Symbol.asyncIterator]());
  subscription.close();
  assertEquals(await end, undefined);
});

Deno.test("Subscription iterates until the topic is deleted", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const subscription = bus.subscribe("foo");
  const end = next(subscription[Symbol.asyncIterator]());
  await bus.delete("foo");
  assertEquals(await end, undefined);
});

Deno.test("Subscription iterates over everything retained before the bus drained", async () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  const got: string[] = [];
  const reader = (async () => {
    for await (const message of subscription) got.push(message.text());
  })();
  bus.put("foo", "a");
  bus.put("foo", "b");
  await bus.close();
  await reader;
  assertEquals(got, ["a", "b"]);
});

Deno.test("Subscription gives nothing of a topic that was deleted after the bus drained", async () => {
  const { bus } = setUp();
  const subscription = bus.subscribe("foo");
  bus.put("foo", "a");
  bus.drain();
  await bus.delete("foo");
  assertEquals({ next: subscription.take(), lag: subscription.lag }, { next: undefined, lag: 0 });
  assertEquals(bus.totals().bytes, 0);
});

Deno.test("Subscription is closed by a break out of its loop", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  const reasons: string[] = [];
  const subscription = bus.subscribe("foo", { since: "earliest", onEnd: (_, reason) => reasons.push(reason) });
  for await (const _message of subscription) break;
  assertEquals(reasons, ["closed"]);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription is closed by an error in its loop", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  await assertRejects(
    async () => {
      for await (const _message of bus.subscribe("foo", { since: "earliest" })) throw new Error("in the loop");
    },
    Error,
    "in the loop",
  );
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription is closed by the end of its iterator while that waits for a message", async () => {
  const { bus } = setUp();
  const reader = ReadableStream.from(bus.subscribe("foo")).getReader();
  const end = reader.read();
  await reader.cancel();
  assertEquals((await end).done, true);
  assertEquals(bus.totals().subscriptions, 0);
});

Deno.test("Subscription shares its messages among several iterators", async () => {
  const { bus, clock } = setUp();
  const subscription = bus.subscribe("foo");
  const both = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()].map(next);
  bus.put("foo", "a");
  bus.put("foo", "b");
  clock.flush();
  assertEquals(await Promise.all(both), ["a", "b"]);
});

Deno.test("MessageBus.publish in another order of turns never lets a subscription miss or repeat a message", async () => {
  const { bus, clock } = setUp();
  const got: number[] = [];
  const subscription = bus.subscribe("foo");
  const reader = (async () => {
    for await (const message of subscription) {
      got.push(message.id);
      if (message.id === 9) return;
    }
  })();
  for (let turn = 0; turn < 5; turn++) {
    await bus.publish("foo", ["hi", "hi"]);
    if (turn % 2 === 0) clock.flush();
  }
  await reader;
  assertEquals(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("MessageBus tells nobody twice in a turn who leaves and comes again while it is told", () => {
  const { bus, clock } = setUp();
  let calls = 0;
  const again = () => {
    const subscription = bus.subscribe("foo", {
      since: "earliest",
      onReady: () => {
        if (++calls > 10) throw new Error("told for ever");
        subscription.close();
        again();
      },
    });
  };
  bus.subscribe("foo");
  again();
  bus.put("foo", "a");
  clock.flush();
  assertEquals(calls, 1);
});

Deno.test("Subscription.close ends also the reading that goes on after a drain", async () => {
  const { bus } = setUp();
  bus.put("foo", "a");
  bus.put("foo", "b");
  const subscription = bus.subscribe("foo", { since: "earliest" });
  bus.drain();
  for await (const message of subscription) {
    assertEquals(message.id, 0);
    break;
  }
  assertEquals(subscription.take(), undefined);
});

Deno.test("MessageBus.subscribe refuses a since that is none", () => {
  const { bus } = setUp();
  for (const since of ["bogus", null, {}, { next: -1 }, 5]) {
    assertEquals(codeOf(() => bus.subscribe("foo", { since: since as never })), "bad_cursor", String(since));
  }
});
