/**
 * Bodies: how large, how encoded, and how they end.
 *
 * @module
 */

import { assertEquals, assertLess, assertStringIncludes } from "../deps.ts";
import type { BusError } from "../../lib/errors.ts";
import { Connection, joined, serve } from "./serving.ts";

const CHUNKED = { "transfer-encoding": "chunked" };

Deno.test("body: a Content-Length over the limit is refused before a byte of the body came", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  using connection = await Connection.open(server.port);
  await connection.write(server.request("PUT /t", { "content-length": "6" }));
  const { status, error, body } = await connection.answer();
  assertEquals([status, error], [413, "too_large"]);
  assertEquals(body, "payload exceeds max-payload-size of 5 bytes: got 6\n");
  assertEquals(server.bus.topics(), []);
});

Deno.test("body: a Content-Length beyond all numbers is refused", async () => {
  await using server = serve();
  for (const length of ["9007199254740993", "18446744073709551615"]) {
    assertEquals((await server.ask("PUT /t", { "content-length": length })).error, "too_large");
  }
});

Deno.test("body: one in chunks that never ends is refused as soon as it is over the limit", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  using connection = await Connection.open(server.port);
  await connection.write(server.request("PUT /t", CHUNKED));
  await connection.write("5\r\nhello\r\n");
  await connection.write("1\r\n!\r\n");
  const { status, error, body } = await connection.answer();
  assertEquals([status, error], [413, "too_large"]);
  assertEquals(body, "payload exceeds max-payload-size of 5 bytes: got more\n");
  assertEquals(server.bus.topics(), []);
});

Deno.test("body: exactly the limit is published, by Content-Length and in chunks", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  assertEquals((await server.ask("PUT /t", {}, "hello")).status, 202);
  const [chunked] = await server.raw(server.request("PUT /t", CHUNKED), "2\r\nhe\r\n", "3;x=y\r\nllo\r\n0\r\n\r\n");
  assertEquals(chunked!.status, 202);
  assertEquals([server.bus.get("t")?.text(), server.bus.get("t")?.text()], ["hello", "hello"]);
});

Deno.test("body: the limit counts the whole body of split lines", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  assertEquals((await server.ask("PUT /t?split=lines", {}, "a\nb\nc\n")).status, 413);
  assertEquals((await server.ask("PUT /t?split=lines", {}, "a\nb\nc")).headers.get("msgbus-count"), "3");
});

Deno.test("body: chunks that come one by one are one payload", async () => {
  await using server = serve();
  using connection = await Connection.open(server.port);
  await connection.write(server.request("PUT /t", CHUNKED));
  for (const chunk of ["1\r\na\r\n", "3\r\nb", "c", "d\r\n", "0\r\n\r\n"]) await connection.write(chunk);
  assertEquals((await connection.answer()).headers.get("msgbus-id"), "0");
  assertEquals(server.bus.get("t")?.text(), "abcd");
});

Deno.test("body: what is kept of a payload is its bytes, however they came", async () => {
  await using server = serve({ maxPayloadBytes: 100_000 });
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31);
  for (const length of [1, 5_000, 70_000, 100_000]) {
    const payload = bytes.subarray(0, length);
    await server.ask("PUT /t", {}, payload);
    await server.ask(
      "PUT /t",
      { ...CHUNKED, "content-length": undefined },
      joined([`${length.toString(16)}\r\n`, payload, "\r\n0\r\n\r\n"]),
    );
    for (const how of ["in one piece", "in chunks"]) {
      const kept = server.bus.get("t")!.payload;
      assertEquals(kept, payload, how);
      assertEquals(kept.buffer.byteLength, length, how);
    }
  }
});

Deno.test("body: chunks of a byte each cost no more memory than their bytes", async () => {
  const refused = Promise.withResolvers<number>();
  const count = 16_000;
  await using server = serve({ maxPayloadBytes: count }, {
    onRefusal: () => refused.resolve(Deno.memoryUsage().external),
  });
  const before = Deno.memoryUsage().external;
  using connection = await Connection.open(server.port);
  await connection.write(server.request("PUT /t", CHUNKED));
  await connection.write("1\r\na\r\n".repeat(count + 1));
  // Each chunk is a view of 64 KiB of its own, together 1 GiB; some of them may not be collected yet.
  assertLess(await refused.promise - before, 512 * 1024 ** 2);
});

Deno.test("body: a length that is none, or two lengths, publish nothing", async () => {
  await using server = serve();
  for (const length of ["5\r\ncontent-length: 5", "5\r\ncontent-length: 4", "5, 5", "+5", "-1", "0x5", "5 5", "five"]) {
    const answers = await server.raw(server.request("PUT /t", { "content-length": length }, "hello"));
    assertEquals(answers[0]?.status, 400, length);
  }
  assertEquals(server.bus.topics(), []);
});

Deno.test("body: the same length twice is told as what it is", async () => {
  await using server = serve();
  const { error, body } = await server.ask("PUT /t", { "content-length": "5\r\ncontent-length: 5" }, "hello");
  assertEquals([error, body], ["bad_request", `Bad Content-Length "5, 5"\n`]);
});

Deno.test("body: a transfer coding other than chunked publishes nothing", async () => {
  await using server = serve();
  const codings = ["gzip, chunked", "identity", "xchunked", "chunked, identity", "gzip", "\x0bchunked"];
  for (const coding of codings) {
    const [answer] = await server.raw(
      server.request("PUT /t", { "transfer-encoding": coding }),
      "2\r\nhi\r\n0\r\n\r\n",
    );
    assertEquals(answer?.status, 400, coding);
  }
  const both = { ...CHUNKED, "content-length": "2" };
  const [answer] = await server.raw(server.request("PUT /t", both), "2\r\nhi\r\n0\r\n\r\n");
  assertEquals(answer?.status, 400);
  assertEquals(server.bus.topics(), []);
});

Deno.test("body: a content coding is refused, because nobody would undo it", async () => {
  await using server = serve();
  for (const coding of ["gzip", "br", "gzip, identity", "GZIP"]) {
    const { status, error, body } = await server.ask("PUT /t", { "content-encoding": coding }, "hi");
    assertEquals([status, error], [415, "unsupported_encoding"]);
    assertStringIncludes(body, coding);
  }
  assertEquals(server.bus.topics(), []);
  assertEquals((await server.ask("PUT /t", { "content-encoding": "identity" }, "hi")).status, 202);
});

for (
  const [what, fields, part] of [
    ["its Content-Length", { "content-length": "10" }, "hello"],
    ["its last chunk", CHUNKED, "5\r\nhello\r\n"],
    ["the end of a chunk", CHUNKED, "5\r\nhe"],
    ["a whole chunk size", CHUNKED, "5"],
  ] as const
) {
  Deno.test(`body: a client that vanishes before ${what} publishes nothing and takes no id`, async () => {
    const refused = Promise.withResolvers<BusError>();
    await using server = serve({}, { onRefusal: (error) => refused.resolve(error) });
    await server.ask("PUT /t", {}, "first");
    const connection = await Connection.open(server.port);
    await connection.write(server.request("PUT /t", fields));
    await connection.write(part);
    connection[Symbol.dispose]();
    assertEquals((await refused.promise).code, "bad_request");
    assertEquals((await server.ask("PUT /t", {}, "second")).headers.get("msgbus-id"), "1");
  });
}

Deno.test("body: chunks that break the grammar publish nothing and take no id", async () => {
  await using server = serve();
  const sizes = ["-1", "0x5", "11111111111111111", "z", "", "5 5", "5\nhello"];
  for (const size of sizes) await server.raw(server.request("PUT /t", CHUNKED), `${size}\r\nhello\r\n0\r\n\r\n`);
  await server.raw(server.request("PUT /t", CHUNKED), "5\r\nhelloXX0\r\n\r\n");
  assertEquals(server.bus.topics(), []);
  assertEquals((await server.ask("PUT /t", {}, "hi")).headers.get("msgbus-id"), "0");
});

for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
  Deno.test(`body: one that comes with ${method} is ignored and never taken for a request`, async () => {
    await using server = serve();
    await server.ask("PUT /evil", {}, "hi");
    const smuggled = new TextDecoder().decode(server.request("DELETE /evil"));
    const [first, second, ...more] = await server.raw(
      server.request(`${method} /`, {}, smuggled),
      server.request("GET /-/version"),
    );
    assertEquals([first?.status, second?.status, more.length], [method === "DELETE" ? 405 : first?.status, 200, 0]);
    assertEquals(server.bus.topics().map(({ name }) => name), ["evil"]);
  });
}

Deno.test("body: one that an early refusal left unread is never taken for a request", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  await server.ask("PUT /evil", {}, "hi");
  const smuggled = new TextDecoder().decode(server.request("DELETE /evil"));
  const refused: [string, Record<string, string>, number][] = [
    ["PUT /t", { "content-encoding": "gzip" }, 415],
    ["PUT /t", {}, 413],
    ["PUT /a//b", {}, 400],
    ["PUT /t", { origin: "https://evil.example" }, 403],
    ["PATCH /t", {}, 405],
    ["BREW /t", {}, 501],
  ];
  for (const [line, fields, status] of refused) {
    const [first, ...rest] = await server.raw(server.request(line, fields, smuggled), server.request("GET /-/health"));
    assertEquals(first?.status, status, line);
    // The platform may close the connection instead of answering the second request.
    assertEquals(rest.map(({ status, body }) => [status, body]), rest.length === 0 ? [] : [[200, "ok\n"]], line);
  }
  assertEquals(server.bus.topics().map(({ name }) => name), ["evil"]);
});

Deno.test("body: requests behind each other are answered in order, wherever their bytes are cut", async () => {
  await using server = serve();
  const requests = [
    server.request("PUT /t", {}, "one"),
    server.request("PUT /t", CHUNKED),
    "3\r\ntwo\r\n0\r\n\r\n",
    server.request("HEAD /t"),
    server.request("GET /t"),
    server.request("GET /-/health", {}, "ignored"),
    server.request("GET /t"),
  ];
  const bytes = requests.map((request) => typeof request === "string" ? new TextEncoder().encode(request) : request);
  for (const cut of [1, 7, 64]) {
    await server.ask("DELETE /t");
    const connection = await Connection.open(server.port);
    for (const request of bytes) {
      for (let at = 0; at < request.length; at += cut) await connection.write(request.subarray(at, at + cut));
    }
    await connection.endOfRequests();
    const text = new TextDecoder().decode(await connection.rest());
    assertEquals(text.match(/HTTP\/1\.1 [0-9]+/g)?.map((line) => Number(line.slice(9))), [
      202,
      202,
      200,
      200,
      200,
      200,
    ]);
    assertEquals(text.match(/"payload":"[^"]*"/g), [`"payload":"${btoa("one")}"`, `"payload":"${btoa("two")}"`]);
  }
});

Deno.test("body: Expect: 100-continue is answered, and then the request", async () => {
  await using server = serve({ maxPayloadBytes: 5 });
  using connection = await Connection.open(server.port);
  await connection.write(server.request("PUT /t", { expect: "100-continue", "content-length": "5" }));
  await connection.write("hello");
  assertEquals((await connection.answer()).status, 202);
  const [large] = await server.raw(server.request("PUT /t", { expect: "100-continue", "content-length": "6" }));
  assertEquals(large?.status, 413);
});
