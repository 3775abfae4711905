/**
 * What a publish may ask for besides: attributes, a time to live, a position.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { parseCursor } from "../../lib/message.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

const busWith = (options: BusOptions = {}) => new MessageBus({ clock: new TestClock(), ...options });

const SAID = { contentType: "text/plain", headers: { "X-Trace": "é" }, key: "k" };

Deno.test("MessageBus.put and publish keep what is said of a payload, for every message of a publish", async () => {
  const bus = busWith();
  bus.put("t", "a", SAID);
  await bus.publish("t", ["b", "c"], SAID);
  await bus.publish("t", "d");
  const seen = [0, 1, 2, 3].map(() => bus.get("t")!).map(({ contentType, headers, key }) => {
    return [contentType, { ...headers }, key];
  });
  const said = ["text/plain", { "x-trace": "é" }, "k"];
  assertEquals(seen, [said, said, said, [undefined, {}, undefined]]);
});

Deno.test("MessageBus.publish is not changed by what its caller does with the headers afterwards", () => {
  const bus = busWith();
  const headers: Record<string, string> = { a: "1" };
  bus.put("t", "x", { headers });
  headers.a = "\r\n";
  headers.b = "2";
  assertEquals({ ...bus.get("t")!.headers }, { a: "1" });
});

Deno.test("MessageBus.publish counts what is said against the limits, in bytes of UTF-8", () => {
  const bus = busWith();
  const plain = bus.put("t", "a");
  const before = bus.topic("t")!.bytes;
  const message = bus.put("t", "a", SAID);
  const more = new TextEncoder().encode(encodeEnvelope(message)).length - encodeEnvelope(plain).length;
  assertEquals(bus.topic("t")!.bytes, 2 * before + more);
  assert(more > 40);
});

Deno.test("MessageBus.put and publish refuse what no format can carry, take no id and make no topic", async () => {
  const bus = busWith();
  const refused = [
    [{ contentType: "text" }, "bad_header"],
    [{ headers: { "a\n": "b" } }, "bad_header"],
    [{ headers: { "msgbus-reply-to": "b" } }, "bad_header"],
    [{ key: "" }, "bad_header"],
    [{ key: "k".repeat(257) }, "headers_too_large"],
    [{ idempotencyKey: "" }, "bad_header"],
    [{ idempotencyKey: "\r\n" }, "bad_header"],
    [{ idempotencyKey: "k".repeat(257) }, "headers_too_large"],
    [{ ttlMs: -1 }, "bad_option"],
    [{ ttlMs: 0.5 }, "bad_option"],
    [{ ttlMs: NaN }, "bad_option"],
    [{ ttlMs: 9_223_372_036_855 }, "bad_option"],
  ] as const;
  for (const [options, code] of refused) {
    assertEquals(codeOf(() => bus.put("t", "a", options)), code, JSON.stringify(options));
    assertEquals(await codeOfRejection(bus.publish("t", "a", options)), code, JSON.stringify(options));
    assertEquals(await codeOfRejection(bus.schedule("t", "a", { ...options, delayMs: 5 })), code);
  }
  assertEquals(bus.topics(), []);
});

Deno.test("MessageBus.publish with a time to live of its own leaves that of the topic alone", () => {
  const clock = new TestClock();
  const bus = busWith({ clock });
  const message = bus.put("t", "a", { ttlMs: 5 });
  assertEquals([message.expiresMs, message.topic.ttlMs], [clock.now() + 5, 60_000]);
  assertEquals(bus.put("t", "b", { ttlMs: 0 }).expiresMs, Infinity);
  assertEquals(bus.put("t", "c").expiresMs, clock.now() + 60_000);
});

Deno.test("MessageBus.publish with ifMatch publishes at the position, and nowhere else", async () => {
  const bus = busWith();
  for (const id of [0, 1, 2]) assertEquals(bus.put("t", "a", { ifMatch: { next: id } }).id, id);
  for (const next of [0, 2, 4]) {
    assertEquals(codeOf(() => bus.put("t", "a", { ifMatch: { next } })), "seq_mismatch");
    assertEquals(await codeOfRejection(bus.publish("t", "a", { ifMatch: { next } })), "seq_mismatch");
  }
  assertEquals((await bus.publish("t", ["b", "c"], { ifMatch: { next: 3 } })).cursor, bus.topic("t")!.cursor);
  assertEquals(bus.topic("t")!.seq, 5);
});

Deno.test("MessageBus.publish with ifMatch 0 matches a topic that isn't there; another position makes none", () => {
  const bus = busWith();
  assertEquals(codeOf(() => bus.put("t", "a", { ifMatch: { next: 1 } })), "seq_mismatch");
  assertEquals(codeOf(() => bus.put("t", "a", { ifMatch: { next: 0, epoch: "abc" } })), "seq_mismatch");
  assertEquals(bus.topics(), []);
  assertEquals(bus.put("t", "a", { ifMatch: { next: 0 } }).id, 0);
  assertEquals(codeOf(() => bus.put("t", "a", { ifMatch: { next: 0 } })), "seq_mismatch");
});

Deno.test("MessageBus.publish with ifMatch of an epoch matches no later topic of the name", async () => {
  const bus = busWith();
  const { cursor } = await bus.publish("t", "a");
  assertEquals(bus.put("t", "b", { ifMatch: parseCursor(cursor) }).id, 1);
  await bus.delete("t");
  bus.put("t", "a");
  assertEquals(codeOf(() => bus.put("t", "b", { ifMatch: parseCursor(cursor) })), "seq_mismatch");
  assertEquals(bus.put("t", "b", { ifMatch: { next: 1 } }).id, 1);
});

Deno.test("MessageBus.publish refused by ifMatch says the position, with an epoch only of a topic that stays", async () => {
  const bus = busWith();
  const { message } = await assertRejects(() => bus.publish("t", "a", { ifMatch: { next: 3 } }), Error);
  assertEquals(message, 'Cannot publish to "t": its next id is 0');
  const { cursor } = await bus.publish("t", "a");
  const second = await assertRejects(() => bus.publish("t", "a", { ifMatch: { next: 3 } }), Error);
  assertStringIncludes(second.message, `its next id is ${cursor}`);
});

Deno.test("MessageBus.publish with ifMatch counts what the store has not answered for", async () => {
  const store = new LaterStore();
  const bus = busWith({ store });
  const first = bus.publish("t", ["a", "b"], { ifMatch: { next: 0 } });
  const second = bus.publish("t", "c", { ifMatch: { next: 2 } });
  assertEquals(await codeOfRejection(bus.publish("t", "x", { ifMatch: { next: 0 } })), "seq_mismatch");
  assertEquals(store.waiting, ["append 2 to t", "append 1 to t"]);
  await store.answerAll();
  assertEquals([(await first).id, (await second).id], [0, 2]);
});

Deno.test("MessageBus.publish with ifMatch is refused by the store if one before it is, and takes no id", async () => {
  const store = new LaterStore();
  const bus = busWith({ store });
  const codes = [bus.publish("t", "a"), bus.publish("t", "b", { ifMatch: { next: 1 } }), bus.publish("t", "c")]
    .map((publish) => publish.then(({ id }) => id, (error) => error.code ?? error.message));
  await store.refuse();
  await store.answer();
  await store.answer();
  assertEquals(await Promise.all(codes), ["the disk is full", "seq_mismatch", 0]);
  assertEquals([bus.topic("t")!.seq, store.kept.messages], [1, 1]);
});
