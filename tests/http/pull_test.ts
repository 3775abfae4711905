/**
 * Pulling over HTTP.
 *
 * @module
 */

import { assertEquals } from "../deps.ts";
import { TestClock } from "../bus/test_clock.ts";
import { serve } from "./serving.ts";

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
