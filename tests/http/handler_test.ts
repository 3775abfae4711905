/**
 * What is the same for every request over HTTP.
 *
 * @module
 */

import { VERSION } from "../../lib/version.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { HANDSHAKE, serve } from "./serving.ts";

Deno.test("GET /-/health and /-/version answer in a line", async () => {
  await using server = serve();
  const health = await server.ask("GET /-/health");
  assertEquals([health.status, health.body], [200, "ok\n"]);
  assertEquals((await server.ask("HEAD /-/health")).status, 200);
  assertEquals((await server.ask("GET /-/version")).body, `${VERSION}\n`);
  const json = await server.ask("GET /-/version", { accept: "application/json" });
  assertEquals(JSON.parse(json.body), { version: VERSION });
  const none = await server.ask("GET /-/nothing");
  assertEquals([none.status, none.error], [404, "no_endpoint"]);
});

Deno.test("an endpoint of the server is no topic: it has its own methods, and nobody can subscribe to it", async () => {
  await using server = serve();
  for (const method of ["DELETE", "PATCH", "PUT", "POST"]) {
    const answer = await server.ask(`${method} /-/health`);
    assertEquals([answer.status, answer.error], [405, "method_not_allowed"], method);
    assertEquals(answer.headers.get("allow"), "GET, HEAD, OPTIONS");
  }
  for (const line of ["POST /-/nothing", "PUT /-", "DELETE /-/nothing", "GET /-/health/", "POST /-/health/x"]) {
    const answer = await server.ask(line);
    const exists = line === "GET /-/health/";
    assertEquals([answer.status, answer.error], exists ? [200, null] : [404, "no_endpoint"], line);
  }
  const unknown = await server.ask("GET /-/health?topic=t");
  assertEquals([unknown.status, unknown.error], [400, "unknown_parameter"]);
  const socket = await server.ask("GET /-/health", HANDSHAKE);
  assertEquals([socket.status, socket.error], [404, "no_topic"]);
  assertEquals(server.bus.topics(), []);
});

Deno.test("OPTIONS says which methods there are", async () => {
  await using server = serve();
  const { status, headers } = await server.ask("OPTIONS /t");
  assertEquals([status, headers.get("allow")], [204, "GET, HEAD, PUT, POST, DELETE, OPTIONS"]);
});

Deno.test("every answer forbids caching and sniffing", async () => {
  await using server = serve({ maxPayloadBytes: 3 });
  const lines = ["GET /", "GET /-/health", "HEAD /", "OPTIONS /", "PUT /t", "GET /t", "GET /t", "DELETE /t"];
  const refused = ["GET /nothing", "PATCH /t", "BREW /t", "GET /a//b", "GET /?x", "GET /-/nothing", "DELETE /t"];
  for (const line of [...lines, ...refused]) {
    const { headers } = await server.ask(line);
    assertEquals([headers.get("cache-control"), headers.get("x-content-type-options")], ["no-store", "nosniff"], line);
  }
});

Deno.test("an error is one line of text with its code in a header, or JSON if Accept lists it", async () => {
  await using server = serve();
  const text = await server.ask("GET /t");
  assertEquals(
    [text.status, text.headers.get("content-type"), text.error, text.body],
    [404, "text/plain; charset=utf-8", "no_topic", `No topic "t"\n`],
  );
  for (const accept of ["application/json", "text/plain, Application/JSON;q=0.1"]) {
    const json = await server.ask("GET /t", { accept });
    assertEquals([json.status, json.headers.get("content-type"), json.error], [404, "application/json", "no_topic"]);
    assertEquals(JSON.parse(json.body), { error: "no_topic", message: `No topic "t"` });
  }
});

Deno.test("every kind of refusal is JSON if Accept lists it", async () => {
  await using server = serve({ maxPayloadBytes: 3 });
  const refused: [string, Record<string, string>, string, string][] = [
    ["GET /a//b", {}, "", "bad_topic"],
    ["GET /t?x=1", {}, "", "unknown_parameter"],
    ["PUT /t", { "msgbus-nonsense": "1" }, "", "unknown_header"],
    ["PUT /t", {}, "four", "too_large"],
    ["PATCH /t", {}, "", "method_not_allowed"],
    ["BREW /t", {}, "", "unknown_method"],
    ["GET /t", { host: "evil.example" }, "", "host_not_allowed"],
    ["GET /t", { origin: "https://evil.example" }, "", "origin_not_allowed"],
    ["GET /t", { upgrade: "websocket" }, "", "upgrade_required"],
  ];
  for (const [line, fields, body, code] of refused) {
    const answer = await server.ask(line, { accept: "application/json", ...fields }, body);
    assertEquals(answer.error, code);
    assertEquals(JSON.parse(answer.body).error, code);
  }
});

Deno.test("a refusal is told to who watches, with the address it came from", async () => {
  await using server = serve();
  await server.ask("GET /t");
  assertEquals(server.refusals.map(({ error }) => error.code), ["no_topic"]);
  assertMatch(server.refusals[0]!.address, /^127\.0\.0\.1:[0-9]+$/);
});

Deno.test("a bug in a request is answered with 500, told, and the next request works", async () => {
  await using server = serve();
  const bugs = [
    () => Promise.reject(new TypeError("a secret of the code")),
    () => {
      throw new TypeError("a secret of the code");
    },
  ];
  for (const bug of bugs) {
    server.bus.publish = bug;
    const { status, error, body } = await server.ask("PUT /t", {}, "hi");
    assertEquals([status, error, body], [500, "internal", "Internal error\n"]);
    assertEquals(server.bugs.splice(0).map(String), ["TypeError: a secret of the code"]);
    assertEquals((await server.ask("GET /-/health")).status, 200);
  }
});

Deno.test("a server that drains refuses new requests and says when to come back", async () => {
  const drain = new AbortController();
  await using server = serve({}, { draining: drain.signal });
  await server.ask("PUT /t", {}, "hi");
  drain.abort();
  for (const line of ["GET /t", "PUT /t", "GET /", "GET /-/health"]) {
    const { status, error, headers } = await server.ask(line);
    assertEquals([status, error, headers.get("retry-after")], [503, "draining", "1"]);
  }
  assertEquals(server.bus.topic("t")?.pending, 1);
});
