/**
 * Pulling over HTTP.
 *
 * @module
 */

import { assertEquals, assertLessOrEqual } from "../deps.ts";
import { TestClock } from "../bus/test_clock.ts";
import { direct, settled } from "./direct.ts";
import { Connection, serve } from "./serving.ts";
import { idsOf } from "./streams.ts";

Deno.test("pull: GET answers with the envelope of the original, byte for byte", async () => {
  await using server = serve({ clock: new TestClock() });
  await server.ask("PUT /hello", {}, `{"message": "hello"}`);
  const { status, headers, body } = await server.ask("GET /hello");
  assertEquals([status, headers.get("content-type")], [200, "application/json"]);
  assertEquals(
    body.trimEnd(),
    `{"id":0,"topic":{"name":"hello","ttl":60000000000,"seq":1,"created":"2018-03-25T13:18:38.732Z"},` +
      `"payload":"eyJtZXNzYWdlIjogImhlbGxvIn0=",` +
      `"expires":"2018-03-25T13:19:38.732Z","created":"2018-03-25T13:18:38.732Z"}`,
  );
});

Deno.test("pull: each message is handed out once, in the order of ids, then the queue is empty", async () => {
  await using server = serve();
  for (const payload of ["a", "b"]) await server.ask("PUT /t", {}, payload);
  const answers = await server.raw(server.request("GET /t"), server.request("GET /t"), server.request("GET /t"));
  assertEquals(answers.map(({ status }) => status), [200, 200, 404]);
  assertEquals(answers.slice(0, 2).map(({ body }) => JSON.parse(body).id), [0, 1]);
  assertEquals([answers[2]!.error, answers[2]!.body], ["empty", `Nothing to pull from "t": there is no message\n`]);
});

Deno.test("pull: a topic that does not exist is no_topic, and reading it does not make it", async () => {
  await using server = serve();
  const { status, error, body } = await server.ask("GET /t");
  assertEquals([status, error, body], [404, "no_topic", `No topic "t"\n`]);
  assertEquals((await server.ask("HEAD /t")).status, 404);
  assertEquals((await server.ask("DELETE /t")).status, 404);
  assertEquals(server.bus.topics(), []);
});

Deno.test("pull: a message without expiry says so in the way of the original", async () => {
  await using server = serve({ ttlMs: 0 });
  await server.ask("PUT /t", {}, "hi");
  const { expires, topic } = JSON.parse((await server.ask("GET /t")).body);
  assertEquals([expires, topic.ttl], ["0001-01-01T00:00:00Z", 0]);
});

Deno.test("pull: a name that JavaScript objects have is a name like any other", async () => {
  await using server = serve();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assertEquals((await server.ask(`PUT /${name}`, {}, name)).status, 202);
    const listed: unknown = JSON.parse((await server.ask("GET /", { accept: "application/json" })).body);
    assertEquals(Object.getOwnPropertyDescriptor(listed, name)?.value.name, name);
    assertEquals((await server.ask(`HEAD /${name}`)).headers.get("msgbus-length"), "1");
    assertEquals(JSON.parse((await server.ask(`GET /${name}`)).body).topic.name, name);
    assertEquals((await server.ask(`DELETE /${name}`)).status, 204);
  }
  assertEquals(Object.keys(Object.prototype), []);
});

Deno.test("pull: wait is answered by the message that comes", async () => {
  await using server = direct();
  const answer = server.get("/t?wait=20s");
  server.bus.put("t", "hi");
  server.clock.flush();
  const { status, headers } = await answer;
  assertEquals([status, headers.get("content-type")], [200, "application/json"]);
  assertEquals(JSON.parse(await (await answer).text()).id, 0);
});

Deno.test("pull: wait doesn't wait when there is something", async () => {
  await using server = direct();
  server.bus.put("t", "hi");
  assertEquals((await server.get("/t?wait=20s")).status, 200);
});

Deno.test("pull: those who wait are served in the order in which they came, each one message", async () => {
  await using server = direct();
  const answers = [server.get("/t?wait=20s"), server.get("/t/?wait=10s"), server.get("/t?wait=5m")];
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  server.clock.flush();
  const ids = await Promise.all(answers.map(async (answer) => JSON.parse(await (await answer).text()).id));
  assertEquals(ids, [0, 1, 2]);
});

for (const [exists, code] of [[true, "empty"], [false, "no_topic"]] as const) {
  Deno.test(`pull: wait ends with ${code} when time is up and not before, for a topic that ${exists ? "is" : "isn't"} there`, async () => {
    await using server = direct();
    if (exists) {
      server.bus.put("t", "hi");
      server.bus.get("t");
    }
    let answered = false;
    const answer = server.get("/t?wait=20s").finally(() => answered = true);
    server.clock.tick(19_999);
    await settled();
    assertEquals(answered, false);
    server.clock.tick(1);
    const { status, headers } = await answer;
    assertEquals([status, headers.get("msgbus-error")], [404, code]);
    assertEquals(server.bus.topics().length, exists ? 1 : 0);
  });
}

Deno.test("pull: a client that leaves while it waits takes nothing, and is no bug", async () => {
  await using server = serve({ observer: {} }, { onWork: (change) => inWork(change) });
  const work = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const inWork = (change: number) => work[change === 1 ? 0 : 1]!.resolve();
  const connection = await Connection.open(server.port);
  await connection.write(server.request("GET /t?wait=5m"));
  await work[0]!.promise;
  connection[Symbol.dispose]();
  await work[1]!.promise;
  server.bus.put("t", "hi");
  const { status, body } = await server.ask("GET /t");
  assertEquals([status, JSON.parse(body).id], [200, 0]);
});

Deno.test("pull: of those who wait, one that has left is passed over", async () => {
  await using server = direct();
  const leaving = new AbortController();
  const first = server.get("/t?wait=20s", {}, leaving.signal);
  const second = server.get("/t?wait=20s");
  leaving.abort();
  server.bus.put("t", "hi");
  server.clock.flush();
  assertEquals([(await first).status, (await second).status], [404, 200]);
});

Deno.test("pull: draining ends waiting with 503", async () => {
  await using server = direct();
  const answer = server.get("/t?wait=20s");
  server.bus.drain();
  const { status, headers } = await answer;
  assertEquals([status, headers.get("msgbus-error"), headers.get("retry-after")], [503, "draining", "1"]);
});

Deno.test("pull: limit answers in NDJSON, even for one message", async () => {
  await using server = direct();
  for (const payload of ["a", "b", "c", "d"]) server.bus.put("t", payload);
  for (const [limit, expected] of [[1, [0]], [2, [1, 2]], [1000, [3]]] as const) {
    const answer = await server.get(`/t?limit=${limit}`);
    assertEquals([answer.status, answer.headers.get("content-type")], [200, "application/x-ndjson"]);
    assertEquals(idsOf(await answer.text()), [...expected]);
  }
  const none = await server.get("/t?limit=2");
  assertEquals([none.status, none.headers.get("msgbus-error")], [404, "empty"]);
});

Deno.test("pull: limit gives at most 8 MiB at once, and the rest to the next", async () => {
  await using server = direct();
  const payload = new Uint8Array(1024 ** 2);
  for (let i = 0; i < 8; i++) server.bus.put("t", payload);
  const lines = await (await server.get("/t?limit=1000")).text();
  assertEquals(idsOf(lines), [0, 1, 2, 3, 4]); // each is 4/3 MiB in base64
  assertLessOrEqual(lines.length, 8 * 1024 ** 2);
  assertEquals(idsOf(await (await server.get("/t?limit=1000")).text()), [5, 6, 7]);
});

Deno.test("pull: limit with wait gives what comes in a turn", async () => {
  await using server = direct();
  const answer = server.get("/t?limit=10&wait=20s");
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  server.clock.flush();
  assertEquals(idsOf(await (await answer).text()), [0, 1, 2]);
});

Deno.test("pull: what the queue has lost is told once, to the first who pulls after it", async () => {
  await using server = direct({ maxMessages: 2 });
  for (let i = 0; i < 5; i++) server.bus.put("t", `${i}`);
  const first = await server.get("/t");
  assertEquals([JSON.parse(await first.text()).id, first.headers.get("msgbus-gap")], [3, "0-2;dropped"]);
  const second = await server.get("/t");
  assertEquals([JSON.parse(await second.text()).id, second.headers.get("msgbus-gap")], [4, null]);
});

for (const wait of ["", "?wait=20s", "?limit=3", "?format=raw"]) {
  Deno.test(`pull: GET /t${wait} is told what the queue has lost though nothing is left, and is told once`, async () => {
    await using server = direct({ ttlMs: 1000 });
    server.bus.put("t", "a");
    server.bus.put("t", "b");
    server.clock.tick(1000);
    const answer = server.get(`/t${wait}`);
    server.clock.tick(20_000);
    const { status, headers } = await answer;
    assertEquals([status, headers.get("msgbus-error"), headers.get("msgbus-gap")], [404, "empty", "0-1;expired"]);
    assertEquals((await server.get("/t")).headers.get("msgbus-gap"), null);
  });
}

Deno.test("pull: one that waits is told what was lost before the message it gets", async () => {
  await using server = direct({ ttlMs: 1000 });
  server.bus.put("t", "a");
  server.clock.tick(1000);
  const answer = server.get("/t?wait=20s");
  server.bus.put("t", "b");
  server.clock.flush();
  const { status, headers } = await answer;
  assertEquals([status, headers.get("msgbus-gap")], [200, "0-0;expired"]);
  assertEquals(JSON.parse(await (await answer).text()).id, 1);
});

Deno.test("raw: the payload itself, with what the envelope says in headers", async () => {
  await using server = direct();
  const payload = Uint8Array.of(0, 0xff, 0x0d, 0x0a, 0x3c);
  const { cursor } = server.bus.put("t", payload);
  const answer = await server.get("/t?format=raw");
  assertEquals(Object.fromEntries(answer.headers), {
    "cache-control": "no-store",
    "content-security-policy": "sandbox; default-src 'none'",
    "content-type": "application/octet-stream",
    "msgbus-created": "2018-03-25T13:18:38.732Z",
    "msgbus-cursor": cursor,
    "msgbus-expires": "2018-03-25T13:19:38.732Z",
    "msgbus-id": "0",
    "msgbus-topic": "t",
    "x-content-type-options": "nosniff",
  });
  assertEquals(await answer.bytes(), payload);
  assertEquals(server.bus.topic("t")?.pending, 0);
});

Deno.test("raw: an empty payload is an answer with an empty body, and without expiry it says so as the envelope does", async () => {
  await using server = serve({ ttlMs: 0 });
  server.bus.put("t", "");
  const { status, bytes, headers } = await server.ask("GET /t?format=raw");
  assertEquals([status, bytes.length, headers.get("msgbus-expires")], [200, 0, "0001-01-01T00:00:00Z"]);
});

Deno.test("raw: the topic is percent-encoded in its header, but for the slashes", async () => {
  await using server = serve();
  server.bus.put("a b/é/😀", "hi");
  const { headers } = await server.ask("GET /a%20b/%C3%A9/%F0%9F%98%80?format=raw");
  assertEquals(headers.get("msgbus-topic"), "a%20b/%C3%A9/%F0%9F%98%80");
});

Deno.test("raw: with since it shows and takes nothing", async () => {
  await using server = direct();
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  const answer = await server.get("/t?format=raw&since=1");
  const { cursor } = server.bus.topic("t")!;
  assertEquals(await answer.text(), "b");
  assertEquals([answer.headers.get("msgbus-id"), answer.headers.get("msgbus-next")], ["1", cursor.replace("3", "2")]);
  assertEquals(server.bus.topic("t")?.pending, 3);
  const none = await server.get("/t?format=raw&since=latest");
  assertEquals([none.status, none.headers.get("msgbus-error")], [404, "empty"]);
});

Deno.test("raw: a payload of a page that publishes doesn't become a page of the bus", async () => {
  await using server = direct();
  for (const payload of ["<script>alert(1)</script>", "%PDF-1.4", "<svg onload=alert(1)>"]) {
    server.bus.put("t", payload);
    const { headers } = await server.get("/t?format=raw");
    assertEquals(
      ["content-type", "x-content-type-options", "content-security-policy"].map((name) => headers.get(name)),
      ["application/octet-stream", "nosniff", "sandbox; default-src 'none'"],
    );
  }
});
