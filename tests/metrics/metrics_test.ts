/**
 * What is counted: each metric moves when the thing happens.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { ERROR_CODES } from "../../lib/errors.ts";
import type { Answer } from "../../lib/http/handler.ts";
import { encodeMetrics, FAMILIES } from "../../lib/metrics/families.ts";
import { Metrics } from "../../lib/metrics/metrics.ts";
import { processState } from "../../lib/metrics/process.ts";
import { VERSION } from "../../lib/version.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assert, assertEquals, assertGreater } from "../deps.ts";
import { labelsOf, readScrape, type Scrape, valueOf } from "./scrape.ts";

/** A bus that is measured. */
function setUp(options: BusOptions = {}, topics = 20) {
  const clock = new TestClock();
  const metrics = new Metrics();
  const bus = new MessageBus({ clock, observer: metrics, ...options });
  const scrape = () => readScrape(encodeMetrics({ bus, metrics, topics, process: processState() }));
  return { bus, clock, metrics, scrape };
}

const ANSWER: Answer = { method: "GET", route: "pull", status: 200, error: undefined, seconds: 0.02 };

/** Everything that can happen, and the values it changes: one after the other, each from 0. */
const MOVES: readonly (readonly [
  what: string,
  options: BusOptions,
  happen: (world: ReturnType<typeof setUp>) => unknown,
  moved: readonly (readonly [name: string, labels: Record<string, string>, value: number])[],
])[] = [
  ["a publish", {}, ({ bus }) => bus.publish("t", ["abc", "é"]), [
    ["msgbus_messages_published_total", {}, 2],
    ["msgbus_bus_messages", {}, 2],
    ["msgbus_published_bytes_total", {}, 5],
    ["msgbus_messages_retained", {}, 2],
    ["msgbus_topics", {}, 1],
    ["msgbus_bus_topics", {}, 1],
  ]],
  ["a message for later", {}, ({ bus }) => bus.schedule("t", "a", { delayMs: 1000 }), [
    ["msgbus_messages_scheduled", {}, 1],
    ["msgbus_messages_published_total", {}, 0],
    ["msgbus_topics", {}, 1],
  ]],
  ["a postponement", {}, ({ metrics }) => metrics.postponed(), [["msgbus_messages_postponed_total", {}, 1]]],
  ["a repeat", {}, ({ bus }) => [1, 2].map(() => bus.put("t", "a", { idempotencyKey: "k" })), [
    ["msgbus_publishes_repeated_total", {}, 1],
    ["msgbus_idempotency_keys_forgotten_total", {}, 0],
    ["msgbus_messages_published_total", {}, 1],
  ]],
  ["a pull", {}, ({ bus }) => [bus.put("t", "a"), bus.get("t"), bus.get("t")], [
    ["msgbus_messages_pulled_total", {}, 1],
    ["msgbus_bus_fetched", {}, 1],
  ]],
  ["work", { maxAttempts: 2 }, ({ bus, clock }) => {
    const lease = () => bus.get("t", { group: "g", leaseMs: 1000 })!.lease!;
    for (const payload of ["a", "b", "c"]) bus.put("t", payload);
    bus.ack(lease());
    bus.nack(lease());
    bus.nack(lease());
    lease();
    bus.redrive("t");
    clock.flush();
  }, [
    ["msgbus_messages_pulled_total", {}, 4],
    ["msgbus_messages_redelivered_total", {}, 1],
    ["msgbus_leases", {}, 1],
    ["msgbus_leases_settled_total", { by: "ack" }, 1],
    ["msgbus_leases_settled_total", { by: "nack" }, 2],
    ["msgbus_dead_letters_total", {}, 1],
    ["msgbus_dead_letters_redriven_total", {}, 1],
  ]],
  ["a delivery", {}, ({ bus }) => {
    const readers = [bus.subscribe("t"), bus.subscribe("t")];
    bus.put("t", "a");
    for (const reader of readers) reader.take();
  }, [
    ["msgbus_messages_delivered_total", {}, 2],
    ["msgbus_bus_delivered", {}, 2],
    ["msgbus_subscriptions", {}, 2],
    ["msgbus_bus_subscribers", {}, 2],
  ]],
  ["an expiry", { ttlMs: 1000 }, ({ bus, clock }) => [bus.put("t", "a"), clock.tick(1000)], [
    ["msgbus_messages_dropped_total", { reason: "expired" }, 1],
    ["msgbus_messages_dropped_total", { reason: "limit" }, 0],
    ["msgbus_messages_retained", {}, 0],
    ["msgbus_bytes_retained", {}, 0],
  ]],
  ["a limit", { maxMessages: 1 }, ({ bus }) => [bus.put("t", "a"), bus.put("t", "b")], [
    ["msgbus_messages_dropped_total", { reason: "limit" }, 1],
    ["msgbus_messages_dropped_total", { reason: "expired" }, 0],
  ]],
  ["a gap", {}, ({ metrics }) => metrics.gap({ topic: "t", from: 3, to: 5, reason: "dropped" }), [
    ["msgbus_gaps_total", { reason: "dropped" }, 1],
    ["msgbus_messages_missed_total", { reason: "dropped" }, 3],
    ["msgbus_bus_dropped", {}, 3],
  ]],
  ["a gap of unknown length", {}, ({ metrics }) => metrics.gap({ topic: "t", from: null, to: 5, reason: "reset" }), [
    ["msgbus_gaps_total", { reason: "reset" }, 1],
    ["msgbus_messages_missed_total", { reason: "reset" }, 0],
  ]],
  ["a reader that leaves", {}, ({ bus }) => bus.subscribe("t").close(), [
    ["msgbus_subscriptions_ended_total", { reason: "closed" }, 1],
    ["msgbus_subscriptions", {}, 0],
  ]],
  ["a topic that is deleted", {}, ({ bus }) => [bus.subscribe("t"), bus.put("t", "a"), bus.delete("t")].at(-1), [
    ["msgbus_subscriptions_ended_total", { reason: "deleted" }, 1],
    ["msgbus_topics", {}, 0],
    ["msgbus_messages_retained", {}, 0],
  ]],
  ["a drain", {}, ({ bus }) => [bus.subscribe("t"), bus.drain()], [
    ["msgbus_subscriptions_ended_total", { reason: "drained" }, 1],
  ]],
  ["a stalled reader", {}, ({ bus, metrics }) => metrics.unsubscribed(bus.subscribe("t"), "stalled"), [
    ["msgbus_subscriptions_ended_total", { reason: "stalled" }, 1],
  ]],
  ["an answer", {}, ({ metrics }) => metrics.answered(ANSWER), [
    ["msgbus_http_requests_total", { method: "GET", code: "200" }, 1],
    ["msgbus_server_requests", {}, 1],
    ["msgbus_http_request_duration_seconds_count", { route: "pull" }, 1],
    ["msgbus_http_request_duration_seconds_sum", { route: "pull" }, 0.02],
    ["msgbus_http_request_duration_seconds_bucket", { route: "pull", le: "0.01" }, 0],
    ["msgbus_http_request_duration_seconds_bucket", { route: "pull", le: "0.025" }, 1],
    ["msgbus_http_request_duration_seconds_count", { route: "publish" }, 0],
  ]],
  ["an error", {}, ({ metrics }) => metrics.answered({ ...ANSWER, status: 404, error: "no_topic" }), [
    ["msgbus_http_requests_total", { method: "GET", code: "404" }, 1],
    ["msgbus_errors_total", { code: "no_topic" }, 1],
    ["msgbus_errors_total", { code: "internal" }, 0],
  ]],
  ["a lag", {}, ({ metrics }) => metrics.lagged(0.3), [
    ["msgbus_event_loop_lag_seconds_count", {}, 1],
    ["msgbus_event_loop_lag_seconds_bucket", { le: "0.25" }, 0],
    ["msgbus_event_loop_lag_seconds_bucket", { le: "0.5" }, 1],
  ]],
];

for (const [what, options, happen, moved] of MOVES) {
  Deno.test(`encodeMetrics: ${what} shows`, async () => {
    const world = setUp(options);
    const before = world.scrape();
    await happen(world);
    const after = world.scrape();
    for (const [name, labels, value] of moved) {
      // A request that never happened has no series.
      if (name !== "msgbus_http_requests_total") assertEquals(valueOf(before, name, labels), 0, `${name} before`);
      assertEquals(valueOf(after, name, labels), value, `${name} ${JSON.stringify(labels)}`);
    }
  });
}

Deno.test("encodeMetrics writes every metric with the labels it says it has, and counters end with _total", () => {
  const { bus, metrics, scrape } = setUp();
  bus.put("t", "a");
  metrics.answered(ANSWER);
  const read = scrape();
  assertEquals([...read.keys()], FAMILIES.map(({ name }) => name));
  for (const { name, type, help, labels = [] } of FAMILIES) {
    const family = read.get(name)!;
    assertEquals([family.type, family.help], [type, help]);
    for (const sample of family.samples) {
      assertEquals(Object.keys(sample.labels).filter((label) => label !== "le"), labels);
    }
    // But for the names of the original.
    if (!/^msgbus_(bus|server)_/.test(name)) assertEquals(name.endsWith("_total"), type === "counter", name);
  }
});

Deno.test("encodeMetrics shows the version, and 0 for each error there is", () => {
  const read = setUp().scrape();
  assertEquals(valueOf(read, "msgbus_info", { version: VERSION }), 1);
  assertEquals(labelsOf(read, "msgbus_errors_total", "code"), [...ERROR_CODES]);
});

Deno.test("encodeMetrics shows the process, or nothing of it", () => {
  const { bus, metrics, scrape } = setUp();
  const read = scrape();
  assertGreater(valueOf(read, "process_resident_memory_bytes"), 10_000_000);
  const startedMs = valueOf(read, "process_start_time_seconds") * 1000;
  assert(startedMs > Date.now() - 3_600_000 && startedMs <= Date.now());
  assertGreater(valueOf(read, "process_cpu_seconds_total"), 0);
  assertGreater(valueOf(read, "msgbus_server_uptime"), 1_000_000);
  const without = readScrape(encodeMetrics({ bus, metrics, topics: 20 }));
  assertEquals([...without.keys()].filter((name) => /^process_|uptime/.test(name)), []);
});

Deno.test("Metrics.answered counts methods that clients make up as other, however many they are", () => {
  const { metrics, scrape } = setUp();
  for (const method of ["BREW", "get", "toString", "BREW"]) metrics.answered({ ...ANSWER, method, status: 501 });
  assertEquals(valueOf(scrape(), "msgbus_http_requests_total", { method: "other", code: "501" }), 4);
  assertEquals(scrape().get("msgbus_http_requests_total")!.samples.length, 1);
});

const TOPIC_METRICS = FAMILIES.filter(({ labels }) => labels?.includes("topic")).map(({ name }) => name);

function topicsOf(scrape: Scrape): string[] {
  const [first, ...others] = TOPIC_METRICS.map((name) => labelsOf(scrape, name, "topic"));
  for (const other of others) assertEquals(other, first);
  return first!;
}

Deno.test("encodeMetrics shows what a topic has", () => {
  const { bus, scrape } = setUp({ maxMessages: 3 });
  for (let i = 0; i < 5; i++) bus.put("t", "a");
  bus.get("t");
  bus.subscribe("t");
  const read = scrape();
  const values = TOPIC_METRICS.map((name) => [name, valueOf(read, name, { topic: "t" })]);
  assertEquals(Object.fromEntries(values), {
    msgbus_topic_messages_published_total: 5,
    msgbus_topic_messages_retained: 3,
    msgbus_topic_bytes_retained: bus.topic("t")!.bytes,
    msgbus_topic_subscriptions: 1,
    msgbus_queue_len: 2,
  });
});

Deno.test("encodeMetrics shows the busiest topics only, busiest first", () => {
  const { bus, scrape } = setUp({}, 2);
  for (const topic of ["few", "most", "most", "most", "more", "more"]) bus.put(topic, "a");
  assertEquals(topicsOf(scrape()), ["most", "more"]);
  for (let i = 0; i < 3; i++) bus.put("few", "a");
  assertEquals(topicsOf(scrape()), ["few", "most"]);
  assertEquals(valueOf(scrape(), "msgbus_topics"), 3);
});

Deno.test("encodeMetrics shows no topic at all if none is to have series of its own", () => {
  const { bus, scrape } = setUp({}, 0);
  bus.put("t", "a");
  assertEquals(topicsOf(scrape()), []);
  assertEquals(valueOf(scrape(), "msgbus_topics"), 1);
});

Deno.test("encodeMetrics shows a deleted topic no more, and one made again from 0", async () => {
  const { bus, scrape } = setUp();
  bus.put("t", "a");
  bus.put("t", "b");
  await bus.delete("t");
  assertEquals(topicsOf(scrape()), []);
  bus.put("t", "c");
  assertEquals(valueOf(scrape(), "msgbus_topic_messages_published_total", { topic: "t" }), 1);
});

Deno.test("encodeMetrics: whatever a topic is called, its values are read with its name", () => {
  const names = [`x"y`, `a="b"} 1`, "{}", "ü/日本/😀", "__proto__", "'", "a b", "le"];
  const { bus, scrape } = setUp();
  for (const name of names) bus.put(name, "a");
  assertEquals(topicsOf(scrape()), names);
});

Deno.test("encodeMetrics counts what expires as it looks", () => {
  const { bus, clock, scrape } = setUp({ ttlMs: 1000 });
  bus.put("t", "a");
  clock.stall(1000);
  const read = scrape();
  assertEquals(valueOf(read, "msgbus_queue_len", { topic: "t" }), 0);
  assertEquals(valueOf(read, "msgbus_messages_retained"), 0);
  assertEquals(valueOf(read, "msgbus_messages_dropped_total", { reason: "expired" }), 1);
});
