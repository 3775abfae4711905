import type { BrowseOptions } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { lineLength } from "../../lib/bus/run.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { assertEquals } from "../deps.ts";
import { lineOf } from "./deliveries.ts";
import { codeOfRejection } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

/** A bus whose topic `foo` has had the messages 0 to 4, a second apart. */
function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const startedMs = clock.now();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  for (const payload of ["a", "b", "c", "d", "e"]) {
    bus.put("foo", payload);
    clock.tick(1000);
  }
  const browse = async (options?: BrowseOptions) => {
    const { messages, gap, next } = (await bus.browse("foo", options))!;
    return [lineOf(gap), ...messages.map(({ id }) => id), next.split("@")[0]].filter((part) => part !== undefined);
  };
  return { clock, bus, startedMs, browse };
}

Deno.test("MessageBus.browse shows what is retained and the position after it, and takes nothing", async () => {
  const { bus, browse } = setUp();
  assertEquals(await browse(), [0, 1, 2, 3, 4, "5"]);
  assertEquals(await browse(), [0, 1, 2, 3, 4, "5"]);
  const { pulled, delivered } = bus.totals();
  assertEquals({ pending: bus.topic("foo")?.pending, pulled, delivered }, { pending: 5, pulled: 0, delivered: 0 });
});

Deno.test("MessageBus.browse begins where since says", async () => {
  const { browse, startedMs } = setUp();
  assertEquals(await browse({ since: { next: 3 } }), [3, 4, "5"]);
  assertEquals(await browse({ since: { last: 1 } }), [4, "5"]);
  assertEquals(await browse({ since: { createdMs: startedMs + 2500 } }), [3, 4, "5"]);
  assertEquals(await browse({ since: "latest" }), ["5"]);
});

Deno.test("MessageBus.browse shows at most limit messages, page by page", async () => {
  const { bus } = setUp();
  const pages: number[][] = [];
  for (let since = parseSince("0", 0)!;;) {
    const { messages, next } = (await bus.browse("foo", { since, limit: 2 }))!;
    pages.push(messages.map(({ id }) => id));
    since = parseSince(next, 0)!;
    if (messages.length === 0) break;
  }
  assertEquals(pages, [[0, 1], [2, 3], [4], []]);
});

Deno.test("MessageBus.browse shows 100 messages if nobody says how many", async () => {
  const { bus } = setUp();
  for (let i = 0; i < 200; i++) bus.put("bar", "hi");
  assertEquals((await bus.browse("bar"))?.messages.length, 100);
});

Deno.test("MessageBus.browse shows what fits into maxBytes, the first message anyway", async () => {
  const { bus, browse } = setUp();
  const bytes = lineLength((await bus.browse("foo"))!.messages[0]!);
  assertEquals(await browse({ maxBytes: 2 * bytes }), [0, 1, "2"]);
  assertEquals(await browse({ maxBytes: 1 }), [0, "1"]);
});

Deno.test("MessageBus.browse tells what is gone of what was wanted, each time", async () => {
  const { browse, startedMs } = setUp({ maxMessages: 2 });
  assertEquals(await browse({ since: { next: 1 } }), ["gap foo 1-2 dropped", 3, 4, "5"]);
  assertEquals(await browse({ since: { createdMs: startedMs } }), ["gap foo null-2 dropped", 3, 4, "5"]);
  assertEquals(await browse({ since: { next: 9 } }), ["gap foo null-2 reset", 3, 4, "5"]);
  assertEquals(await browse({ since: { next: 9 } }), ["gap foo null-2 reset", 3, 4, "5"]);
  assertEquals(await browse(), [3, 4, "5"]);
});

Deno.test("MessageBus.browse gives the end for its next when all that was wanted is gone", async () => {
  const { clock, browse } = setUp({ ttlMs: 10_000 });
  clock.tick(10_000);
  assertEquals(await browse({ since: { next: 2 } }), ["gap foo 2-4 expired", "5"]);
});

Deno.test("MessageBus.browse ends a page before what is gone in the middle, which the next page tells", async () => {
  const { bus, clock } = setUp();
  for (const ttlMs of [100, 0, 100, 100]) bus.put("foo", "hi", { ttlMs });
  clock.tick(100);
  const pages: unknown[] = [];
  for (let since = parseSince("3", 0)!;;) {
    const { messages, gap, next } = (await bus.browse("foo", { since }))!;
    pages.push([lineOf(gap), messages.map(({ id }) => id), next.split("@")[0]]);
    since = parseSince(next, 0)!;
    if (messages.length === 0 && gap === undefined) break;
  }
  assertEquals(pages, [
    [undefined, [3, 4], "5"],
    ["gap foo 5-5 expired", [6], "7"],
    ["gap foo 7-8 expired", [], "9"],
    [undefined, [], "9"],
  ]);
});

Deno.test("MessageBus.browse from a time tells what is gone there, and ends before what is gone behind it", async () => {
  const { bus, clock, browse } = setUp();
  const startedMs = clock.now();
  for (const ttlMs of [100, 0, 100, 0]) bus.put("foo", "hi", { ttlMs });
  clock.tick(100);
  assertEquals(await browse({ since: { createdMs: startedMs } }), ["gap foo null-5 expired", 6, "7"]);
  assertEquals(await browse({ since: { last: 2 } }), [6, "7"]);
});

Deno.test("MessageBus.browse with a wait tells of what is gone from where it waits, though no message follows", async () => {
  const { bus, clock } = setUp();
  bus.put("foo", "hi", { ttlMs: 100 });
  const page = (await bus.browse("foo", { since: { next: 5 }, limit: 0 }))!;
  clock.tick(100);
  const { messages, gap } = (await bus.browse("foo", { since: parseSince(page.next, 0)!, waitMs: 1000 }))!;
  assertEquals({ messages, gap: lineOf(gap) }, { messages: [], gap: "gap foo 5-5 expired" });
});

Deno.test("MessageBus.browse of a missing topic is undefined", async () => {
  assertEquals(await setUp().bus.browse("bar"), undefined);
});

Deno.test("MessageBus.browse refuses what is no position, and no name", async () => {
  const { bus } = setUp();
  assertEquals(await codeOfRejection(bus.browse("foo", { since: { next: -1 } })), "bad_cursor");
  assertEquals(await codeOfRejection(bus.browse("foo,bar")), "bad_topic");
  assertEquals(await codeOfRejection(bus.browse("*")), "bad_topic");
});

Deno.test("MessageBus.browse goes on while the bus drains, and not after its close", async () => {
  const { bus, browse } = setUp();
  bus.drain();
  assertEquals(await browse(), [0, 1, 2, 3, 4, "5"]);
  await bus.close();
  assertEquals(await codeOfRejection(bus.browse("foo")), "already_closed");
});
