/**
 * Listing, describing and deleting topics over HTTP.
 *
 * @module
 */

import { TestClock } from "../bus/test_clock.ts";
import { epochOf } from "../../lib/message.ts";
import { assertEquals } from "../deps.ts";
import { serve } from "./serving.ts";

Deno.test("HEAD describes a topic in headers and takes nothing", async () => {
  const clock = new TestClock();
  await using server = serve({ clock, ttlMs: 90_000 });
  for (const payload of ["a", "b", "c"]) await server.ask("PUT /t", {}, payload);
  await server.ask("GET /t");
  using _subscription = server.bus.subscribe("t");
  const { status, headers, body } = await server.ask("HEAD /t");
  assertEquals([status, body], [200, ""]);
  assertEquals(
    Object.fromEntries([...headers].filter(([name]) => name.startsWith("msgbus-"))),
    {
      "msgbus-seq": "3",
      "msgbus-length": "3",
      "msgbus-pending": "2",
      "msgbus-bytes": String(server.bus.topic("t")?.bytes),
      "msgbus-subscribers": "1",
      "msgbus-groups": "0",
      "msgbus-ttl": "90s",
      "msgbus-created": "2018-03-25T13:18:38.732Z",
      "msgbus-cursor": `3@${epochOf(clock.now())}`,
    },
  );
});

Deno.test("DELETE forgets a topic; one made later starts at 0 in another epoch", async () => {
  await using server = serve({ clock: new TestClock() });
  const before = (await server.ask("PUT /t", {}, "a")).headers.get("msgbus-cursor")!;
  const { status, headers, bytes } = await server.ask("DELETE /t");
  assertEquals([status, headers.get("content-length"), bytes.length], [204, null, 0]);
  const again = await server.ask("DELETE /t");
  assertEquals([again.status, again.error], [404, "no_topic"]);
  const after = (await server.ask("PUT /t", {}, "b")).headers.get("msgbus-cursor")!;
  assertEquals([before.split("@")[0], after.split("@")[0], before === after], ["1", "1", false]);
});

Deno.test("DELETE of a topic leaves the topics below it", async () => {
  await using server = serve();
  await server.ask("PUT /t", {}, "a");
  await server.ask("PUT /t/x", {}, "b");
  await server.ask("DELETE /t");
  assertEquals((await server.ask("GET /")).body, "t/x\n");
});

Deno.test("GET / lists topics by name, one a line", async () => {
  await using server = serve();
  const none = await server.ask("GET /");
  assertEquals([none.status, none.body], [200, ""]);
  for (const name of ["b", "a/x", "a", "%C3%A9"]) await server.ask(`PUT /${name}`, {}, "hi");
  const { status, headers, body } = await server.ask("GET /");
  assertEquals([status, headers.get("content-type"), body], [200, "text/plain; charset=utf-8", "a\na/x\nb\né\n"]);
  const head = await server.ask("HEAD /");
  assertEquals([head.status, head.headers.get("content-length"), head.body], [200, headers.get("content-length"), ""]);
});

Deno.test("GET / is a JSON map by name if Accept asks for it", async () => {
  await using server = serve({ clock: new TestClock() });
  await server.ask("PUT /a", {}, "hi");
  await server.ask("GET /a");
  await server.ask("PUT /a", {}, "hi");
  const { headers, body } = await server.ask("GET /", { accept: "application/json" });
  assertEquals(headers.get("content-type"), "application/json");
  assertEquals(JSON.parse(body), {
    a: {
      name: "a",
      ttl: 60_000_000_000,
      seq: 2,
      created: "2018-03-25T13:18:38.732Z",
      length: 2,
      pending: 1,
      bytes: server.bus.topic("a")?.bytes,
      subscribers: 0,
      groups: 0,
    },
  });
});

Deno.test("GET / is text for a browser, and for whoever prefers text", async () => {
  await using server = serve();
  await server.ask("PUT /a", {}, "hi");
  for (
    const accept of [
      "*/*",
      "",
      "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      "application/json;q=0.5, text/plain",
      "text/*",
    ]
  ) {
    assertEquals((await server.ask("GET /", { accept })).body, "a\n", accept);
  }
});
