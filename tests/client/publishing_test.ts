import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { Client } from "../../lib/client/client.ts";
import { assertEquals, assertRejects, assertStrictEquals } from "../deps.ts";
import { settled } from "../http/direct.ts";
import { directBus } from "./direct_bus.ts";
import { serve, unusedUri } from "./local_server.ts";

async function rejected(promise: Promise<unknown>, code: ErrorCode): Promise<BusError> {
  const error = await assertRejects(() => promise, BusError);
  assertEquals(error.code, code, error.message);
  return error;
}

Deno.test("Client.publish says what a message is, whatever characters that has", async () => {
  await using direct = directBus();
  const attributes = {
    contentType: 'text/plain; charset="utf-8"',
    headers: { "X-Trace": "a+b&c=d%20 é日本𝄞", empty: "" },
    key: "order 7/ü+&%",
  };
  await direct.client.publish("foo", "hi", { ...attributes, ttlMs: 90_500 });
  const { contentType, headers, key, ttlMs } = direct.bus.get("foo")!;
  assertEquals({ contentType, headers: { ...headers }, key, ttlMs }, {
    ...attributes,
    headers: { "x-trace": "a+b&c=d%20 é日本𝄞", empty: "" },
    ttlMs: 90_500,
  });
});

Deno.test("Client.publish keeps a content type that curl would send unasked", async () => {
  await using direct = directBus();
  await direct.client.publish("foo", "a=b", { contentType: "application/x-www-form-urlencoded" });
  assertEquals(direct.bus.get("foo")!.contentType, "application/x-www-form-urlencoded");
  await direct.client.publish("foo", "a=b");
  assertStrictEquals(direct.bus.get("foo")!.contentType, undefined);
});

Deno.test("Client.publish says the same of each of several messages", async () => {
  await using direct = directBus();
  await direct.client.publish("foo", ["a", "b"], { key: "k", headers: { n: "1" }, ttlMs: 0 });
  for (let i = 0; i < 2; i++) {
    const { key, headers, ttlMs } = direct.bus.get("foo")!;
    assertEquals([key, headers.n, ttlMs], ["k", "1", 0]);
  }
});

Deno.test("Client.publish publishes once what has the same idempotency key", async () => {
  await using direct = directBus();
  const { client } = direct;
  const first = await client.publish("foo", "a", { idempotencyKey: "ü 1" });
  assertEquals("duplicate" in first, false);
  assertEquals(await client.publish("foo", "a", { idempotencyKey: "ü 1" }), { ...first, duplicate: true });
  await rejected(client.publish("foo", "b", { idempotencyKey: "ü 1" }), "idempotency_conflict");
  assertEquals(direct.bus.topic("foo")!.length, 1);
});

Deno.test("Client.publish publishes only where the topic ends as it is told", async () => {
  await using direct = directBus();
  const { client } = direct;
  const { cursor } = await client.publish("foo", "a", { ifMatch: { next: 0 } });
  await rejected(client.publish("foo", "b", { ifMatch: "0" }), "seq_mismatch");
  const { id } = await client.publish("foo", "b", { ifMatch: cursor });
  const { epoch } = direct.bus.get("foo")!.topic;
  assertEquals([id, (await client.publish("foo", "c", { ifMatch: { next: 2, epoch } })).id], [1, 2]);
  await rejected(client.publish("foo", "d", { ifMatch: { next: 3, epoch: "zzz" } }), "seq_mismatch");
});

Deno.test("Client.publish refuses what no message can be, without a request", async () => {
  const client = new Client(unusedUri());
  await rejected(client.publish("foo", "x", { contentType: "nonsense" }), "bad_header");
  await rejected(client.publish("foo", "x", { headers: { "msgbus-x": "1" } }), "bad_header");
  await rejected(client.publish("foo", "x", { headers: { a: "b\r\nc: d" } }), "bad_header");
  await rejected(client.publish("foo", "x", { key: "" }), "bad_header");
  await rejected(client.publish("foo", "x", { key: "\ud800" }), "bad_header");
  await rejected(client.publish("foo", "x", { idempotencyKey: "x".repeat(257) }), "headers_too_large");
  await rejected(client.schedule("foo", "x", {}), "bad_option");
  await rejected(client.schedule("foo", "x", { delayMs: 1, atMs: 2 }), "bad_option");
  await rejected(client.schedule("foo", "x", { atMs: NaN }), "bad_option");
  await rejected(client.reply("token", "x", { contentType: "a" }), "bad_header");
  await rejected(client.scheduled("metrics"), "reserved");
  await rejected(client.request("a//b", "x"), "bad_topic");
});

Deno.test("Client.schedule publishes later, and Client.scheduled shows what is to come", async () => {
  await using direct = directBus();
  const { client, clock } = direct;
  await client.publish("foo", "first");
  const attributes = { contentType: "text/plain", headers: { a: "1" }, key: "ü" };
  const inTen = await client.schedule("/foo/", "in ten", { delayMs: 10_000, ttlMs: 60_000, ...attributes });
  const atMs = clock.now() + 5_000;
  const inFive = await client.schedule("foo", "in five", { atMs });
  assertEquals([inTen.topic, inTen.dueMs, inFive.dueMs, inTen.durability], ["foo", atMs + 5_000, atMs, "memory"]);
  const { token } = inTen;
  const expected = { topic: "foo", token, dueMs: inTen.dueMs, bytes: 6, ttlMs: 60_000, attributes };
  assertEquals((await client.scheduled("foo"))[1], expected);
  assertEquals((await client.scheduled("foo"))[0], {
    topic: "foo",
    token: inFive.token,
    dueMs: atMs,
    bytes: 7,
    ttlMs: undefined,
    attributes: undefined,
  });
  clock.tick(5_020);
  assertEquals((await client.scheduled("foo")).map((message) => message.token), [token]);
  assertEquals([await client.cancel("foo", token), await client.cancel("foo", token)], [true, false]);
  clock.tick(10_000);
  const { messages } = await client.pullBatch("foo");
  assertEquals(messages.map((message) => message.text()), ["first", "in five"]);
  assertEquals(await client.scheduled("foo"), []);
});

Deno.test("Client.schedule schedules once what has the same idempotency key", async () => {
  await using direct = directBus();
  const { client } = direct;
  const first = await client.schedule("foo", "a", { delayMs: 10_000, idempotencyKey: "1" });
  assertEquals("duplicate" in first, false);
  assertEquals(await client.schedule("foo", "a", { delayMs: 10_000, idempotencyKey: "1" }), {
    ...first,
    duplicate: true,
  });
  assertEquals((await client.scheduled("foo")).length, 1);
});

Deno.test("Client.request resolves to the first reply, and Client.reply tells the second that it is late", async () => {
  await using direct = directBus();
  const { client } = direct;
  const requested = client.request("square", "12", { key: "k" });
  const message = (await client.pull("square", { waitMs: 1_000 }))!;
  assertEquals([message.text(), message.key], ["12", "k"]);
  const token = message.headers["msgbus-reply-to"]!;
  await client.reply(token, new Uint8Array([1, 0, 255]), { contentType: "image/png" });
  assertEquals(await requested, { payload: new Uint8Array([1, 0, 255]), contentType: "image/png" });
  await rejected(client.reply(token, "late"), "reply_gone");
});

Deno.test("Client.request resolves to undefined when time is up, and the message stays", async () => {
  await using direct = directBus();
  const { client, clock } = direct;
  const requested = client.request("square", "12", { timeoutMs: 2_000 });
  await direct.askedFor("POST /square?reply=2000ms");
  await settled();
  clock.tick(2_020);
  assertStrictEquals(await requested, undefined);
  assertEquals((await client.pull("square"))!.text(), "12");
});

Deno.test("Client.request throws what is refused", async () => {
  await using direct = directBus({ maxPayloadBytes: 1 });
  await rejected(direct.client.request("square", "12"), "too_large");
});

Deno.test("Client tells from msgbusd's what is no receipt, list or reply", async () => {
  await using server = serve(() => Response.json(null));
  const client = new Client(server.uri);
  await rejected(client.publish("foo", "x"), "unexpected_answer");
  await rejected(client.schedule("foo", "x", { delayMs: 1 }), "unexpected_answer");
  await rejected(client.scheduled("foo"), "unexpected_answer");
  await rejected(client.request("foo", "x"), "unexpected_answer");
});
