/**
 * Requests and replies over HTTP: `reply=`, and `/-/reply/<token>`.
 *
 * @module
 */

import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { settled } from "./direct.ts";
import { Connection, serve, type Serving } from "./serving.ts";

/** The token in the message that comes next in a topic. */
async function nextToken(server: Serving, topic = "t"): Promise<string> {
  const { status, body } = await server.ask(`GET /${topic}?wait=1m`);
  assertEquals(status, 200);
  return JSON.parse(body).headers["msgbus-reply-to"];
}

Deno.test("request: what somebody replies is the answer, with its content type, and the id of the message", async () => {
  await using server = serve();
  server.bus.put("t", "before");
  server.bus.get("t");
  const asked = server.ask("POST /t?reply=10s", { "content-type": "text/x-sum", "msgbus-meta-a": "b" }, "2+2");
  const message = await server.ask("GET /t?wait=1m&format=raw");
  assertEquals([message.body, message.headers.get("content-type"), message.headers.get("msgbus-meta-a")], [
    "2+2",
    "text/x-sum",
    "b",
  ]);
  const token = message.headers.get("msgbus-reply-to")!;
  assertMatch(token, /^[\w-]{22}$/);
  const replied = await server.ask(`POST /-/reply/${token}`, { "content-type": "text/plain" }, "4");
  assertEquals([replied.status, replied.body], [202, ""]);
  const { status, body, headers } = await asked;
  assertEquals([status, body, headers.get("content-type")], [200, "4", "text/plain"]);
  assertEquals([headers.get("msgbus-id"), headers.get("msgbus-cursor")], ["1", server.bus.topic("t")!.cursor]);
  assertEquals(headers.get("msgbus-reply-to"), null);
});

Deno.test("request: the first reply counts, later ones are gone, as are those that nobody asked for", async () => {
  await using server = serve();
  const asked = server.ask("POST /t?reply=10s", {}, "?");
  const token = await nextToken(server);
  const replies = await Promise.all(["a", "b", "c"].map((body) => server.ask(`PUT /-/reply/${token}`, {}, body)));
  assertEquals(replies.map(({ status }) => status).sort(), [202, 410, 410]);
  assertEquals(replies.filter(({ status }) => status === 410).map(({ error }) => error), ["reply_gone", "reply_gone"]);
  assertEquals(["a", "b", "c"][replies.findIndex(({ status }) => status === 202)], (await asked).body);
  for (const guess of ["x", "__proto__", "A".repeat(22), encodeURIComponent("é"), "%250d%250a"]) {
    const { status } = await server.ask(`POST /-/reply/${guess}`, {}, "x");
    assertEquals(status, guess.startsWith("%25") ? 400 : 410, guess);
  }
});

Deno.test("request: a reply may be any bytes, none, and is sandboxed as every stranger's payload", async () => {
  await using server = serve();
  for (
    const [payload, type] of [[new Uint8Array([0, 255, 10, 13]), undefined], [new Uint8Array(0), "text/html"]] as const
  ) {
    const asked = server.ask("POST /t?reply=10s", {}, "?");
    await server.ask(`POST /-/reply/${await nextToken(server)}`, { "content-type": type }, payload);
    const { status, bytes, headers } = await asked;
    assertEquals([status, bytes], [200, payload]);
    assertEquals(headers.get("content-type"), type ?? "application/octet-stream");
    assertEquals(headers.get("content-disposition"), type === undefined ? null : "attachment");
    assertEquals(headers.get("content-security-policy"), "sandbox; default-src 'none'");
  }
});

Deno.test("reply: what curl -d says of every body is not its content type; what is none is refused, and waited on", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  const asked = server.ask("POST /t?reply=10s", {}, "?");
  const token = await nextToken(server);
  const refused = await server.ask(`POST /-/reply/${token}`, { "content-type": "nonsense" }, "x");
  assertEquals([refused.status, refused.error], [400, "bad_header"]);
  const large = await server.ask(`POST /-/reply/${token}`, {}, "too long");
  assertEquals([large.status, large.error], [413, "too_large"]);
  await server.ask(`POST /-/reply/${token}`, { "content-type": "application/x-www-form-urlencoded" }, "fine");
  const { body, headers } = await asked;
  assertEquals([body, headers.get("content-type")], ["fine", "application/octet-stream"]);
});

Deno.test("request: 504 with the id of the message when time is up, and the reply is gone then", async () => {
  const clock = new TestClock();
  const published = Promise.withResolvers<void>();
  await using server = serve({ clock, observer: { published: () => published.resolve() } }, { clock });
  const asked = server.ask("POST /t?reply=500ms", { accept: "application/json" }, "?");
  await published.promise;
  // The time begins when the message is there.
  await settled();
  clock.tick(500);
  const { status, error, headers, body } = await asked;
  assertEquals([status, error, JSON.parse(body).error], [504, "reply_timeout", "reply_timeout"]);
  assertEquals([headers.get("msgbus-id"), headers.get("msgbus-cursor")], ["0", server.bus.topic("t")!.cursor]);
  const token = server.bus.get("t")!.headers["msgbus-reply-to"];
  assertEquals((await server.ask(`POST /-/reply/${token}`, {}, "late")).error, "reply_gone");
});

Deno.test("request: who leaves waits no more; the message stays, and its reply is gone", async () => {
  await using server = serve();
  const waits: Promise<unknown>[] = [];
  const { request } = server.bus;
  server.bus.request = (...args) => {
    const wait = request.apply(server.bus, args);
    waits.push(wait);
    return wait;
  };
  const connection = await Connection.open(server.port);
  await connection.write(server.request("POST /t?reply=5m", {}, "?"));
  const token = await nextToken(server);
  connection[Symbol.dispose]();
  assertEquals(await waits[0]!.then(() => "replied", ({ name }) => name), "AbortError");
  assertEquals((await server.ask(`POST /-/reply/${token}`, {}, "late")).error, "reply_gone");
  assertEquals([server.bus.topic("t")!.seq, waits.length], [1, 1]);
});

Deno.test("request: a server that drains answers 503 to those who wait", async () => {
  await using server = serve();
  const asked = server.ask("POST /t?reply=5m", {}, "?");
  await nextToken(server);
  server.bus.drain();
  const { status, error } = await asked;
  assertEquals([status, error], [503, "draining"]);
});

Deno.test("request: If-Match and a time to live go with it", async () => {
  await using server = serve();
  assertEquals((await server.ask("POST /t?reply=1s", { "if-match": "3" }, "?")).error, "seq_mismatch");
  const asked = server.ask("POST /t?reply=1m&ttl=5s", { "if-match": "0" }, "?");
  const envelope = JSON.parse((await server.ask("GET /t?wait=1m")).body);
  assertEquals(Date.parse(envelope.expires) - Date.parse(envelope.created), 5000);
  server.bus.reply(envelope.headers["msgbus-reply-to"], "!");
  assertEquals((await asked).body, "!");
});

for (
  const [line, status, code] of [
    ["GET /-/reply/x", 405, "method_not_allowed"],
    ["DELETE /-/reply/x", 405, "method_not_allowed"],
    ["POST /-/reply", 404, "no_endpoint"],
    ["POST /-/reply/", 404, "no_endpoint"],
    ["POST /-/reply/x/y", 404, "no_endpoint"],
    ["POST /-/reply/x?topic=t", 400, "unknown_parameter"],
  ] as const
) {
  Deno.test(`request: ${line} is ${status} ${code}`, async () => {
    await using server = serve();
    const answer = await server.ask(line, {}, "x");
    assertEquals([answer.status, answer.error], [status, code]);
    if (answer.status === 405) assertEquals(answer.headers.get("allow"), "PUT, POST, OPTIONS");
  });
}
