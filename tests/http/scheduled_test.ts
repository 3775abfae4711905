/**
 * Publishing later over HTTP: `delay`, `at`, and `/-/scheduled`.
 *
 * @module
 */

import { LaterStore } from "../bus/later_store.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { serve } from "./serving.ts";

function setUp() {
  const clock = new TestClock();
  return { clock, server: serve({ clock }, { clock }) };
}

Deno.test("scheduled: a delayed publish is answered with a token and a time, and shows when it is due", async () => {
  const { clock, server } = setUp();
  await using _server = server;
  const { status, headers, bytes } = await server.ask("PUT /t?delay=10m", { "content-type": "text/plain" }, "hi");
  assertEquals([status, bytes.length, headers.get("msgbus-due")], [202, 0, "2018-03-25T13:28:38.732Z"]);
  assertMatch(headers.get("msgbus-scheduled")!, /^[\w-]{22}$/);
  const none = ["id", "cursor", "count", "durability", "duplicate"].map((name) => headers.get(`msgbus-${name}`));
  assertEquals(none, [null, null, null, null, null]);
  assertEquals((await server.ask("GET /t")).error, "empty");
  clock.tick(600_000);
  const envelope = JSON.parse((await server.ask("GET /t")).body);
  assertEquals([envelope.id, envelope.created, envelope.expires, envelope.contentType], [
    0,
    "2018-03-25T13:28:38.732Z",
    "2018-03-25T13:29:38.732Z",
    "text/plain",
  ]);
});

for (
  const [what, line, fields, due] of [
    ["Msgbus-Delay", "PUT /t", { "msgbus-delay": "2" }, "2018-03-25T13:18:40.732Z"],
    ["Msgbus-At", "PUT /t", { "msgbus-at": "2018-03-25T15:30:00+02:00" }, "2018-03-25T13:30:00.000Z"],
    ["at with a plus sign", "PUT /t?at=2018-03-25T15:30:00+02:00", {}, "2018-03-25T13:30:00.000Z"],
    ["at with fractions", "PUT /t?at=2018-03-25t13:30:00.5z", {}, "2018-03-25T13:30:00.500Z"],
    ["at in the past", "PUT /t?at=1969-12-31T00:00:00Z", {}, "1970-01-01T00:00:00.000Z"],
    ["no delay", "PUT /t?delay=0", {}, "2018-03-25T13:18:38.732Z"],
  ] as const
) {
  Deno.test(`scheduled: ${what} says when`, async () => {
    const { server } = setUp();
    await using _server = server;
    assertEquals((await server.ask(line, fields, "hi")).headers.get("msgbus-due"), due);
  });
}

Deno.test("scheduled: the receipt is JSON if Accept asks for it", async () => {
  const { server } = setUp();
  await using _server = server;
  const fields = { accept: "application/json", "idempotency-key": "k" };
  const first = await server.ask("PUT /t/?delay=1m", fields, "hi");
  const scheduled = first.headers.get("msgbus-scheduled");
  const receipt = { topic: "t", durability: "memory", scheduled, due: "2018-03-25T13:19:38.732Z" };
  assertEquals([first.status, JSON.parse(first.body)], [202, receipt]);
  const again = await server.ask("PUT /t?delay=1m", fields, "hi");
  assertEquals(JSON.parse(again.body), { ...receipt, duplicate: true });
  assertEquals([again.headers.get("msgbus-duplicate"), again.headers.get("msgbus-scheduled")], ["true", scheduled]);
  assertEquals(server.bus.totals().scheduled, 1);
});

Deno.test("scheduled: a store that promises more says so", async () => {
  await using server = serve({ store: new LaterStore({ prompt: true }) });
  const { headers, body } = await server.ask("PUT /t?delay=1m", { accept: "application/json" }, "hi");
  assertEquals([headers.get("msgbus-durability"), JSON.parse(body).durability], ["synced", "synced"]);
});

Deno.test("GET /-/scheduled lists what waits, those due first in front", async () => {
  const { server } = setUp();
  await using _server = server;
  const later = await server.ask(
    "PUT /t?delay=2m&ttl=5s&key=k&meta-a=%C3%A9A",
    { "content-type": "text/plain" },
    "later",
  );
  const sooner = await server.ask("PUT /t?delay=1m&ttl=0", {}, "sooner!");
  await server.ask("PUT /u?delay=1m", {}, "other");
  const { status, headers, body } = await server.ask("GET /-/scheduled?topic=/t/");
  assertEquals([status, headers.get("content-type")], [200, "application/json"]);
  assertEquals(JSON.parse(body), [
    { token: sooner.headers.get("msgbus-scheduled"), due: "2018-03-25T13:19:38.732Z", bytes: 7, ttl: 0 },
    {
      token: later.headers.get("msgbus-scheduled"),
      due: "2018-03-25T13:20:38.732Z",
      bytes: 5,
      ttl: 5_000_000_000,
      contentType: "text/plain",
      headers: { a: "éA" },
      key: "k",
    },
  ]);
  server.bus.put("v", "x");
  assertEquals((await server.ask("GET /-/scheduled?topic=v")).body, "[]\n");
});

Deno.test("GET /-/scheduled of thousands is whole JSON, written as it is read", async () => {
  const { server } = setUp();
  await using _server = server;
  const headers = { x: "y".repeat(100) };
  for (let i = 0; i < 3000; i++) await server.bus.schedule("t", `${i}`, { delayMs: 1000 + i, headers });
  const response = await fetch(`${server.uri}/-/scheduled?topic=t`);
  const list = await response.json() as { due: string; headers: unknown }[];
  assertEquals([list.length, list[0]!.due, list[2999]!.headers], [3000, "2018-03-25T13:18:39.732Z", headers]);
});

Deno.test("DELETE /-/scheduled takes a message back, once", async () => {
  const { clock, server } = setUp();
  await using _server = server;
  const token = (await server.ask("PUT /t?delay=1m", {}, "a")).headers.get("msgbus-scheduled");
  await server.ask("PUT /t?delay=1m", {}, "b");
  const cancel = () => server.ask(`DELETE /-/scheduled?topic=t&token=${token}`);
  const first = await cancel();
  assertEquals([first.status, first.body], [204, ""]);
  const again = await cancel();
  assertEquals([again.status, again.error], [404, "no_scheduled"]);
  clock.tick(60_000);
  assertEquals([server.bus.get("t")?.text(), server.bus.get("t")], ["b", undefined]);
});

for (
  const [line, status, code] of [
    ["GET /-/scheduled", 400, "bad_parameter"],
    ["GET /-/scheduled?topic=t&token=x", 400, "unknown_parameter"],
    ["GET /-/scheduled?topic=nothing", 404, "no_topic"],
    ["GET /-/scheduled?topic=a//b", 400, "bad_topic"],
    ["DELETE /-/scheduled?topic=t", 400, "bad_parameter"],
    ["DELETE /-/scheduled?token=x", 400, "bad_parameter"],
    ["DELETE /-/scheduled?topic=nothing&token=x", 404, "no_scheduled"],
    ["DELETE /-/scheduled?topic=t&token=", 404, "no_scheduled"],
    ["DELETE /-/scheduled?topic=t&token=__proto__", 404, "no_scheduled"],
    ["DELETE /-/scheduled?topic=t&token=%0D%0Ax", 404, "no_scheduled"],
    ["POST /-/scheduled?topic=t", 405, "method_not_allowed"],
  ] as const
) {
  Deno.test(`${line} is ${status} ${code}`, async () => {
    await using server = serve();
    server.bus.put("t", "x");
    const answer = await server.ask(line);
    assertEquals([answer.status, answer.error, answer.body.trimEnd().includes("\n")], [status, code, false]);
    if (status === 405) assertEquals(answer.headers.get("allow"), "GET, HEAD, DELETE, OPTIONS");
  });
}

Deno.test("scheduled: what could not be published now is refused, and leaves no topic", async () => {
  await using server = serve({ maxPayloadBytes: 3, maxMessages: 1 });
  assertEquals((await server.ask("PUT /t?delay=1s", {}, "long")).error, "too_large");
  assertEquals((await server.ask("PUT /t/-dead?delay=1s", {}, "a")).error, "reserved");
  assertEquals(server.bus.topics(), []);
  assertEquals((await server.ask("PUT /t?delay=1m", {}, "a")).status, 202);
  const full = await server.ask("PUT /t?delay=1m", {}, "b");
  assertEquals([full.status, full.error], [507, "topic_full"]);
});
