import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { MAX_GONE_TOPICS } from "../../lib/bus/gone_topics.ts";
import { parseSince, type Since } from "../../lib/wire/since.ts";
import { assertEquals } from "../deps.ts";
import { deliveriesOf } from "./deliveries.ts";
import { codeOf } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

/** A bus whose topic `foo` has the messages 0 to 4, a second apart. */
function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const startedMs = clock.now();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  for (const payload of ["a", "b", "c", "d", "e"]) {
    bus.put("foo", payload);
    clock.tick(1000);
  }
  const epoch = bus.topic("foo")!.cursor.split("@")[1]!;
  const given = (since: Since, topics = "foo") => deliveriesOf(bus.subscribe(topics, { since }));
  return { clock, bus, startedMs, epoch, given };
}

const ALL = ["foo 0", "foo 1", "foo 2", "foo 3", "foo 4", "caught-up"];

Deno.test("MessageBus.subscribe since latest gives what comes, after caught-up", () => {
  assertEquals(setUp().given("latest"), ["caught-up"]);
});

Deno.test("MessageBus.subscribe since earliest gives all that is retained, and tells of nothing missing", () => {
  assertEquals(setUp().given("earliest"), ALL);
  assertEquals(setUp({ maxMessages: 2 }).given("earliest"), ["foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe since a position gives what follows it, with its epoch or without", () => {
  const { given, epoch } = setUp();
  assertEquals(given({ next: 3 }), ["foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ next: 3, epoch }), ["foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ next: 5, epoch }), ["caught-up"]);
});

Deno.test("MessageBus.subscribe since a position that is gone tells the gap first", () => {
  assertEquals(setUp({ maxMessages: 2 }).given({ next: 1 }), ["gap foo 1-2 dropped", "foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe since a position of another epoch, or beyond the end, tells a reset and gives all", () => {
  const { given, epoch } = setUp();
  const reset = ["gap foo null-null reset", ...ALL];
  for (const since of [{ next: 2, epoch: "another" }, { next: 6 }, { next: 6, epoch }]) {
    assertEquals(given(since), reset);
  }
});

Deno.test("MessageBus.subscribe after a reset names the last id that is gone of the topic as it is now", () => {
  const { given } = setUp({ maxMessages: 2 });
  assertEquals(given({ next: 9 }), ["gap foo null-2 reset", "foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe since last:n gives the newest n, and all if there are fewer", () => {
  const { given } = setUp({ maxMessages: 3 });
  assertEquals(given({ last: 2 }), ["foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ last: 0 }), ["caught-up"]);
  assertEquals(given({ last: 100 }), ["foo 2", "foo 3", "foo 4", "caught-up"]);
});

/** The same, when the messages 1 and 3 have expired. */
function setUpHoles(options: BusOptions = {}) {
  const clock = new TestClock();
  const startedMs = clock.now();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  for (const ttlMs of [0, 5000, 0, 5000, 0]) {
    bus.put("foo", "hi", { ttlMs });
    clock.tick(1000);
  }
  clock.tick(5000);
  const given = (since: Since, topics = "foo") => deliveriesOf(bus.subscribe(topics, { since }));
  return { clock, bus, startedMs, given };
}

const ALL_WITH_HOLES = ["foo 0", "gap foo 1-1 expired", "foo 2", "gap foo 3-3 expired", "foo 4", "caught-up"];

Deno.test("MessageBus.subscribe since earliest tells the holes behind the oldest message", () => {
  for (const topics of ["foo", "*"]) assertEquals(setUpHoles().given("earliest", topics), ALL_WITH_HOLES);
});

Deno.test("MessageBus.subscribe since a position in a hole tells the rest of it", () => {
  const { given } = setUpHoles();
  assertEquals(given({ next: 1 }), ALL_WITH_HOLES.slice(1));
  assertEquals(given({ next: 2 }), ALL_WITH_HOLES.slice(2));
  assertEquals(given({ next: 3 }), ALL_WITH_HOLES.slice(3));
});

Deno.test("MessageBus.subscribe since last:n gives the newest n that are retained, holes between them or not", () => {
  for (const topics of ["foo", "*"]) {
    const { given } = setUpHoles();
    assertEquals(given({ last: 1 }, topics), ["foo 4", "caught-up"]);
    assertEquals(given({ last: 2 }, topics), ALL_WITH_HOLES.slice(2));
    assertEquals(given({ last: 3 }, topics), ALL_WITH_HOLES);
    assertEquals(given({ last: 100 }, topics), ALL_WITH_HOLES);
  }
});

Deno.test("MessageBus.subscribe since a time tells of what is gone there, and of holes behind it in their places", () => {
  const { given, startedMs } = setUpHoles();
  for (const topics of ["foo", "*"]) {
    for (const sinceOf of [(createdMs: number) => ({ createdMs }), (fromMs: number) => ({ fromMs })]) {
      const given2 = (afterMs: number) => given(sinceOf(startedMs + afterMs), topics);
      assertEquals(given2(0), ALL_WITH_HOLES);
      for (const ms of [1, 1000]) assertEquals(given2(ms), ["gap foo null-1 expired", ...ALL_WITH_HOLES.slice(2)]);
      for (const ms of [1001, 2000]) assertEquals(given2(ms), ALL_WITH_HOLES.slice(2));
      for (const ms of [2001, 3000]) assertEquals(given2(ms), ["gap foo null-3 expired", "foo 4", "caught-up"]);
      for (const ms of [3001, 4000]) assertEquals(given2(ms), ["foo 4", "caught-up"]);
      assertEquals(given2(4001), ["caught-up"]);
    }
  }
});

Deno.test("MessageBus.subscribe since a time tells of what is gone at the end, though older messages are retained", () => {
  const { bus, clock, startedMs, given } = setUpHoles();
  bus.put("foo", "hi", { ttlMs: 10 });
  const { cursor } = bus.subscribe("*", { since: "latest" });
  clock.tick(10);
  for (const topics of ["foo", "*"]) {
    for (const afterMs of [4001, 10_000]) {
      assertEquals(given({ createdMs: startedMs + afterMs }, topics), ["gap foo null-5 expired", "caught-up"]);
    }
    assertEquals(given({ createdMs: startedMs + 10_001 }, topics), ["caught-up"]);
    assertEquals(given(parseSince(cursor, 0)!, topics), ["gap foo null-5 expired", "caught-up"]);
  }
});

Deno.test("MessageBus.subscribe since a time tells dropped only of what a limit dropped, and not of a hole behind it", () => {
  const { startedMs, given } = setUpHoles({ maxMessages: 4 });
  assertEquals(given({ createdMs: startedMs })[0], "gap foo null-1 dropped");
  assertEquals(given({ createdMs: startedMs + 1 })[0], "gap foo null-1 expired");
  assertEquals(given({ createdMs: startedMs + 2500 })[0], "gap foo null-3 expired");
});

Deno.test("MessageBus.subscribe since a time of which too many topics are gone names what this one has lost there", async () => {
  const { bus, startedMs, given } = setUpHoles();
  for (let i = 0; i <= MAX_GONE_TOPICS; i++) {
    bus.put(`gone ${i}`, "hi");
    await bus.delete(`gone ${i}`);
  }
  const reset = (afterMs: number) => given({ createdMs: startedMs + afterMs }).slice(0, 2);
  assertEquals(reset(3000), ["gap foo null-3 reset", "foo 4"]);
  assertEquals(reset(2000), ["gap foo null-null reset", "foo 2"]);
});

Deno.test("MessageBus.subscribe after a reset names what is gone before the oldest message, and tells the holes behind it", () => {
  const { given, startedMs } = setUpHoles();
  assertEquals(given({ next: 9 }), ["gap foo null-null reset", ...ALL_WITH_HOLES]);
  assertEquals(given({ createdMs: startedMs - 1 }), ["gap foo null-null reset", ...ALL_WITH_HOLES]);
});

Deno.test("MessageBus.subscribe since a time gives what was created then or later", () => {
  const { given, startedMs } = setUp();
  assertEquals(given({ createdMs: startedMs }), ALL);
  assertEquals(given({ createdMs: startedMs + 3000 }), ["foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ createdMs: startedMs + 3001 }), ["foo 4", "caught-up"]);
  assertEquals(given({ createdMs: startedMs + 1e9 }), ["caught-up"]);
});

Deno.test("MessageBus.subscribe since a time tells of what was created then or later and is gone, without its first id", () => {
  const { given, startedMs } = setUp({ maxMessages: 2 });
  assertEquals(given({ createdMs: startedMs + 2000 }), ["gap foo null-2 dropped", "foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ createdMs: startedMs + 2001 }), ["foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe since a time tells dropped only if a limit dropped something created then or later", () => {
  const { clock, bus, startedMs, given } = setUp({ ttlMs: 10_000, maxMessages: 4 });
  clock.tick(12_000 - (clock.now() - startedMs));
  assertEquals(bus.topic("foo")?.length, 2);
  assertEquals(given({ createdMs: startedMs }), ["gap foo null-2 dropped", "foo 3", "foo 4", "caught-up"]);
  assertEquals(given({ createdMs: startedMs + 1 }), ["gap foo null-2 expired", "foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe since a time before the bus began tells a reset", () => {
  const { given, startedMs } = setUp();
  assertEquals(given({ createdMs: startedMs - 1 }), ["gap foo null-null reset", ...ALL]);
  assertEquals(given({ createdMs: startedMs - 1 }, "bar"), ["gap bar null-null reset", "caught-up"]);
});

Deno.test("MessageBus.subscribe to several topics since a time before the bus began tells one reset, by the pattern", () => {
  const { bus, given, startedMs } = setUp();
  bus.put("bar", "a");
  const expected = ["gap bar,foo null-null reset", ...ALL.slice(0, -1), "bar 0", "caught-up"];
  assertEquals(given({ createdMs: startedMs - 1 }, "bar,foo"), expected);
});

Deno.test("MessageBus.subscribe from a time that people write tells nothing of the time before the bus began", () => {
  const { clock, given, startedMs } = setUp();
  assertEquals(given({ fromMs: startedMs - 1e9 }), ALL);
  assertEquals(given({ fromMs: startedMs + 3000 }), ["foo 3", "foo 4", "caught-up"]);
  for (const topics of ["bar", "bar,baz"]) assertEquals(given({ fromMs: startedMs - 1e9 }, topics), ["caught-up"]);
  assertEquals(given({ fromMs: startedMs - 1e9 }, "*"), ALL);
  assertEquals(given(parseSince("1h", clock.now())!), ALL);
  assertEquals(given(parseSince("2018-03-25T00:00:00Z", 0)!), ALL);
});

Deno.test("MessageBus.subscribe from a time that people write tells of what was created then or later and is gone", () => {
  const { given, startedMs } = setUp({ maxMessages: 2 });
  for (const topics of ["foo", "*"]) {
    assertEquals(given({ fromMs: startedMs - 1e9 }, topics), ["gap foo null-2 dropped", "foo 3", "foo 4", "caught-up"]);
    assertEquals(given({ fromMs: startedMs + 2001 }, topics), ["foo 3", "foo 4", "caught-up"]);
  }
});

Deno.test("MessageBus.browse from a time tells a reset only of that of a cursor", async () => {
  const { bus, startedMs } = setUp();
  assertEquals((await bus.browse("foo", { since: { fromMs: startedMs - 1 } }))?.gap, undefined);
  assertEquals((await bus.browse("foo", { since: { createdMs: startedMs - 1 } }))?.gap?.reason, "reset");
});

Deno.test("MessageBus.subscribe to several topics refuses positions with bad_cursor, and takes all else", () => {
  const { bus, given, startedMs } = setUp();
  for (const topics of ["foo,bar", "*", "foo/**"]) {
    assertEquals(codeOf(() => bus.subscribe(topics, { since: { next: 0 } })), "bad_cursor");
    assertEquals(codeOf(() => bus.subscribe(topics, { since: { next: 0, epoch: "another" } })), "bad_cursor");
  }
  assertEquals(bus.totals().subscriptions, 0);
  assertEquals(given("latest", "*"), ["caught-up"]);
  assertEquals(given("earliest", "*"), ALL);
  assertEquals(given({ last: 1 }, "*"), ["foo 4", "caught-up"]);
  assertEquals(given({ createdMs: startedMs + 3000 }, "*"), ["foo 3", "foo 4", "caught-up"]);
});

Deno.test("MessageBus.subscribe to a missing topic tells a reset for a position that is not its beginning", () => {
  const { given } = setUp();
  const reset = ["gap bar null-null reset", "caught-up"];
  assertEquals(given({ next: 1 }, "bar"), reset);
  assertEquals(given({ next: 0, epoch: "another" }, "bar"), reset);
});

Deno.test("MessageBus.subscribe to a missing topic tells nothing otherwise, and gives it from its beginning", () => {
  const { bus, startedMs } = setUp();
  const sinces: Since[] = ["latest", "earliest", { next: 0 }, { last: 3 }, { createdMs: startedMs }, { fromMs: 0 }];
  const subscriptions = sinces.map((since) => bus.subscribe("bar", { since }));
  bus.put("bar", "a");
  for (const subscription of subscriptions) assertEquals(deliveriesOf(subscription), ["caught-up", "bar 0"]);
});

Deno.test("Subscription.cursor is where it began until it was told what is missing there", () => {
  const { bus, clock, startedMs } = setUp({ maxMessages: 2 });
  for (const since of ["9", "0@another", "1", `T${(startedMs - 1).toString(36)}`, `T${startedMs.toString(36)}`]) {
    const first = bus.subscribe("foo", { since: parseSince(since, clock.now()) });
    const again = bus.subscribe("foo", { since: parseSince(first.cursor, clock.now()) });
    assertEquals(deliveriesOf(again), deliveriesOf(first));
  }
});

Deno.test("Subscription.cursor on several topics is where it began until all that is missing there was told", () => {
  const { bus, clock, startedMs } = setUp({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) bus.put("bar", payload);
  const first = bus.subscribe("*", { since: { createdMs: startedMs } });
  first.read();
  const again = bus.subscribe("*", { since: parseSince(first.cursor, clock.now()) });
  assertEquals(deliveriesOf(again).slice(0, 3), ["gap foo null-2 dropped", "gap bar null-0 dropped", "foo 3"]);
  assertEquals(deliveriesOf(first)[0], "gap bar null-0 dropped");
});

Deno.test("Subscription.cursor of one that began at a time that people write tells of no time before the bus either", () => {
  const { bus, clock, startedMs } = setUp({ maxMessages: 2 });
  for (const topics of ["foo", "*"]) {
    const first = bus.subscribe(topics, { since: { fromMs: startedMs - 1e9 } });
    const again = bus.subscribe(topics, { since: parseSince(first.cursor, clock.now()) });
    assertEquals(deliveriesOf(again), ["gap foo null-2 dropped", "foo 3", "foo 4", "caught-up"]);
  }
});

Deno.test("Subscription.cursor of a time that nobody can have can be read", () => {
  const { bus, clock } = setUp();
  for (const createdMs of [-1e12, 0.5, -0.5]) {
    const { cursor } = bus.subscribe("*", { since: { createdMs } });
    assertEquals(parseSince(cursor, clock.now()), { createdMs: 0 });
  }
});
