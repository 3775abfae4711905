/**
 * Publishing over HTTP.
 *
 * @module
 */

import { assertEquals, assertMatch } from "../deps.ts";
import { serve } from "./serving.ts";

for (const method of ["PUT", "POST"]) {
  Deno.test(`publish: ${method} answers 202 with an empty body, the id and the cursor`, async () => {
    await using server = serve();
    assertEquals((await server.ask(`${method} /hello`, {}, "hi")).headers.get("msgbus-id"), "0");
    const { status, headers, bytes } = await server.ask(`${method} /hello`, {}, "hi again");
    const { cursor } = server.bus.topic("hello")!;
    assertEquals(
      [status, bytes.length, headers.get("content-length"), headers.get("content-type")],
      [202, 0, "0", null],
    );
    assertEquals([headers.get("msgbus-id"), headers.get("msgbus-cursor")], ["1", cursor]);
    assertEquals([headers.get("msgbus-count"), headers.get("msgbus-durability")], [null, null]);
    assertEquals([server.bus.get("hello")?.text(), server.bus.get("hello")?.text()], ["hi", "hi again"]);
  });
}

Deno.test("publish: every byte value arrives, and so does a payload of none", async () => {
  await using server = serve();
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  await server.ask("PUT /t", {}, bytes);
  await server.ask("PUT /t", { "content-length": "0" });
  await server.ask("PUT /t");
  assertEquals(server.bus.get("t")?.payload, bytes);
  assertEquals(server.bus.get("t")?.payload, new Uint8Array(0));
  assertEquals(server.bus.get("t")?.payload, new Uint8Array(0));
});

Deno.test("publish: the receipt is JSON if Accept asks for it", async () => {
  await using server = serve();
  using _subscription = server.bus.subscribe("a/b");
  const { status, headers, body } = await server.ask("PUT /a/b/", { accept: "application/json" }, "hi");
  const { cursor } = server.bus.topic("a/b")!;
  assertEquals([status, headers.get("content-type")], [202, "application/json"]);
  assertEquals(JSON.parse(body), { topic: "a/b", id: 0, cursor, durability: "memory", subscribers: 1 });
  assertEquals([headers.get("msgbus-id"), headers.get("msgbus-cursor")], ["0", cursor]);
});

Deno.test("publish: a browser or a client without preference gets no receipt", async () => {
  await using server = serve();
  for (
    const accept of [undefined, "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/plain, application/json"]
  ) {
    assertEquals((await server.ask("PUT /t", { accept }, "hi")).body, "");
  }
});

Deno.test("publish: split=lines makes a message of each line, without line ends and without empty lines", async () => {
  await using server = serve();
  await server.ask("PUT /t", {}, "first");
  const { status, headers, bytes } = await server.ask(
    "PUT /t?split=lines",
    {},
    "one\r\n\r\n\ntwo \rtwo\n\xff\r\nlast\r",
  );
  assertEquals([status, bytes.length], [202, 0]);
  assertEquals([headers.get("msgbus-id"), headers.get("msgbus-count")], ["1", "4"]);
  assertEquals(headers.get("msgbus-cursor"), server.bus.topic("t")?.cursor);
  const payloads = Array.from({ length: 5 }, () => server.bus.get("t")?.text());
  assertEquals(payloads, ["first", "one", "two \rtwo", "\xff", "last"]);
  assertEquals(server.bus.get("t"), undefined);
});

Deno.test("publish: the receipt of split lines has their count", async () => {
  await using server = serve();
  const { body } = await server.ask("POST /t?split=lines", { accept: "application/json" }, "a\nb\n");
  const { cursor } = server.bus.topic("t")!;
  assertEquals(JSON.parse(body), { topic: "t", id: 0, cursor, durability: "memory", subscribers: 0, count: 2 });
  assertMatch(cursor, /^2@/);
});

Deno.test("publish: split=lines with no line left is refused and makes no topic", async () => {
  await using server = serve();
  for (const body of ["", "\n", "\r\n\n\r\n"]) {
    const { status, error } = await server.ask("PUT /t?split=lines", {}, body);
    assertEquals([status, error], [400, "bad_request"]);
  }
  assertEquals(server.bus.topics(), []);
});

Deno.test("publish: split=lines publishes all lines or none", async () => {
  await using server = serve({ maxMessages: 3, discard: "new" });
  await server.ask("PUT /t", {}, "one");
  assertEquals((await server.ask("PUT /t?split=lines", {}, "two\nthree\nfour\n")).error, "topic_full");
  assertEquals(server.bus.topic("t")?.seq, 1);
  assertEquals((await server.ask("PUT /t?split=lines", {}, "two\nthree\n")).headers.get("msgbus-id"), "1");
});

Deno.test("publish: a limit of the bus is answered with its status and takes no id", async () => {
  await using full = serve({ maxMessages: 1, discard: "new", maxTopics: 1 });
  await full.ask("PUT /t", {}, "one");
  const second = await full.ask("PUT /t", {}, "two");
  assertEquals([second.status, second.error], [507, "topic_full"]);
  const other = await full.ask("PUT /u", {}, "one");
  assertEquals([other.status, other.error], [507, "too_many_topics"]);
  assertEquals(full.bus.topics().map(({ name, seq }) => [name, seq]), [["t", 1]]);

  await using overloaded = serve({ maxMemoryBytes: 400, discard: "new" });
  await overloaded.ask("PUT /t", {}, "one");
  const third = await overloaded.ask("PUT /t", {}, "two");
  assertEquals([third.status, third.error, third.headers.get("retry-after")], [503, "overloaded", "1"]);
});

Deno.test("publish: split=lines refuses more lines than a topic retains, all of them", async () => {
  await using server = serve({ maxMessages: 3 });
  const { status, error } = await server.ask("PUT /t?split=lines", {}, "a\nb\nc\nd\n");
  assertEquals([status, error], [507, "topic_full"]);
  assertEquals(server.bus.topics(), []);
  assertEquals((await server.ask("PUT /t?split=lines", {}, "a\nb\nc\n")).status, 202);
});

Deno.test("publish: a name of the server's is refused before the body comes", async () => {
  await using server = serve();
  const [answer] = await server.raw(server.request("PUT /t/-dead", { "content-length": "1000000" }));
  assertEquals([answer?.status, answer?.error], [403, "reserved"]);
});
