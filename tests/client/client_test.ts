import type { Batch } from "../../lib/bus/answers.ts";
import { Client } from "../../lib/client/client.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "../deps.ts";
import { serve, serveBus, unusedUri } from "./local_server.ts";

async function rejected(promise: Promise<unknown>, code: ErrorCode): Promise<BusError> {
  const error = await assertRejects(() => promise, BusError);
  assertEquals(error.code, code, error.message);
  return error;
}

Deno.test("Client.publish answers with the receipt of the message", async () => {
  await using server = serveBus();
  const receipt = await new Client(server.uri).publish("foo", "Grüße");
  const { cursor } = server.bus.topic("foo")!;
  assertEquals(receipt, { topic: "foo", id: 0, count: 1, cursor, durability: "memory", subscribers: 0 });
  assertEquals(server.bus.get("foo")!.text(), "Grüße");
});

Deno.test("Client.publish keeps bytes as they are, none included", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  await client.publish("foo", bytes);
  await client.publish("foo", new Uint8Array(0));
  assertEquals(server.bus.get("foo")!.payload, bytes);
  assertEquals(server.bus.get("foo")!.payload.length, 0);
});

Deno.test("Client.publish publishes several payloads at once, each as it is", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  await client.publish("foo", "before");
  const receipt = await client.publish("foo", ["a", new Uint8Array([0xff, 0]), "ends with CR\r", "\r"]);
  assertEquals([receipt.id, receipt.count], [1, 4]);
  server.bus.get("foo");
  assertEquals(server.bus.get("foo")!.text(), "a");
  assertEquals(server.bus.get("foo")!.payload, new Uint8Array([0xff, 0]));
  assertEquals(server.bus.get("foo")!.text(), "ends with CR\r");
  assertEquals(server.bus.get("foo")!.text(), "\r");
});

Deno.test("Client.publish refuses several payloads that lines can't carry, and publishes none of them", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  assertStringIncludes((await rejected(client.publish("foo", ["a", "b\nc"]), "bad_request")).message, "number 2");
  assertStringIncludes((await rejected(client.publish("foo", ["", "a"]), "bad_request")).message, "number 1 is empty");
  await rejected(client.publish("foo", []), "bad_request");
  assertEquals(server.bus.topics(), []);
});

Deno.test("Client.publish with split makes each line a message", async () => {
  await using server = serveBus();
  const receipt = await new Client(server.uri).publish("foo", "a\r\n\nb", { split: "lines" });
  assertEquals([receipt.id, receipt.count], [0, 2]);
  assertEquals([server.bus.get("foo")!.text(), server.bus.get("foo")!.text()], ["a", "b"]);
});

Deno.test("Client.publish throws what the server refuses with its code and words", async () => {
  await using server = serveBus({ maxPayloadBytes: 3 });
  const client = new Client(server.uri);
  const error = await rejected(client.publish("foo", "long"), "too_large");
  assertStringIncludes(error.message, "payload exceeds max-payload-size");
  await rejected(client.publish("foo/-dead", "x"), "reserved");
});

Deno.test("Client.pull takes messages in order, and undefined when there are none", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  assertStrictEquals(await client.pull("foo"), undefined);
  server.bus.put("foo", "a");
  server.bus.put("foo", "b");
  const message = (await client.pull("foo"))!;
  assertEquals([message.id, message.topic.name, message.text(), message.cursor], [
    0,
    "foo",
    "a",
    `1@${server.bus.topic("foo")!.cursor.split("@")[1]}`,
  ]);
  assertEquals((await client.pull("foo"))!.text(), "b");
  assertStrictEquals(await client.pull("foo"), undefined);
});

Deno.test("Client.pull waits for a message", async () => {
  const waiting = Promise.withResolvers<void>();
  await using server = serveBus();
  const client = new Client(server.uri, {
    fetch(url, init) {
      waiting.resolve();
      return fetch(url, init);
    },
  });
  const pulled = client.pull("foo", { waitMs: 60_000 });
  await waiting.promise;
  server.bus.put("foo", "a");
  assertEquals((await pulled)!.text(), "a");
});

/** A client whose server answers with these one after the other, and what it was asked for. */
function scripted(...answers: Response[]): { readonly client: Client; readonly asked: string[] } {
  const asked: string[] = [];
  const client = new Client("http://bus.example", {
    fetch(url, init) {
      asked.push(`${init.method} ${url.slice("http://bus.example".length)}`);
      return Promise.resolve(answers.shift()!);
    },
  });
  return { client, asked };
}

function empty(): Response {
  return new Response("", { status: 404, headers: { "msgbus-error": "empty" } });
}

Deno.test("Client.pull repeats what the server waits at most, until its time is over", async () => {
  const { client, asked } = scripted(empty(), empty(), empty());
  assertStrictEquals(await client.pull("foo", { waitMs: 11 * 60_000 + 0.5 }), undefined);
  assertEquals(asked, ["GET /foo?wait=300000ms", "GET /foo?wait=300000ms", "GET /foo?wait=60001ms"]);
  await rejected(client.pull("foo", { waitMs: -1 }), "bad_option");
  await rejected(client.pull("foo", { waitMs: NaN }), "bad_option");
  assertEquals(asked.length, 3);
});

Deno.test("Client.pullBatch takes several messages, at most as many as asked for", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  assertEquals(await client.pullBatch("foo"), { messages: [] });
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const texts = ({ messages }: Batch) => messages.map((message) => message.text());
  assertEquals(texts(await client.pullBatch("foo", { limit: 2 })), ["a", "b"]);
  assertEquals(texts(await client.pullBatch("foo")), ["c"]);
  assertEquals(await client.pullBatch("foo", { limit: 1 }), { messages: [] });
  await rejected(client.pullBatch("foo", { limit: 0 }), "bad_parameter");
});

Deno.test("Client.pullBatch asks for its limit and its wait", async () => {
  const { client, asked } = scripted(empty());
  assertEquals(await client.pullBatch("a b", { limit: 7, waitMs: 500 }), { messages: [] });
  assertEquals(asked, ["GET /a%20b?limit=7&wait=500ms"]);
});

Deno.test("Client.pullBatch tells once what the queue has lost, by the topic's canonical name", async () => {
  await using server = serveBus({ maxMessages: 2 });
  for (let i = 0; i < 5; i++) server.bus.put("foo", `${i}`);
  const client = new Client(server.uri);
  const { messages, gap } = await client.pullBatch("/foo/", { limit: 1 });
  assertEquals(messages.map((message) => message.id), [3]);
  assertEquals(gap, { topic: "foo", from: 0, to: 2, reason: "dropped" });
  assertEquals("gap" in await client.pullBatch("foo"), false);
});

Deno.test("Client.pullBatch tells what the queue has lost though nothing is left, and waits no longer then", async () => {
  const lost = new Response("", { status: 404, headers: { "msgbus-error": "empty", "msgbus-gap": "7-9;expired" } });
  const { client, asked } = scripted(empty(), lost, empty());
  const batch = await client.pullBatch("foo", { limit: 7, waitMs: Infinity });
  assertEquals(batch, { messages: [], gap: { topic: "foo", from: 7, to: 9, reason: "expired" } });
  assertEquals(asked.length, 2);
});

Deno.test("Client.pullBatch throws what the server refuses with its code and words", async () => {
  const { client } = scripted(new Response("Bye\n", { status: 503, headers: { "msgbus-error": "draining" } }));
  assertEquals((await rejected(client.pullBatch("foo"), "draining")).message, "Bye");
});

Deno.test("Client.browse reads page after page, and takes nothing", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const first = await client.browse("/foo/", { limit: 2 });
  assertEquals(first.messages.map((message) => message.text()), ["a", "b"]);
  assertEquals([first.next, "gap" in first], [first.messages[1]!.cursor, false]);
  const second = await client.browse("foo", { since: first.next });
  assertEquals([second.messages.map((message) => message.text()), second.next], [
    ["c"],
    server.bus.topic("foo")!.cursor,
  ]);
  assertEquals(await client.browse("foo", { since: second.next }), { messages: [], next: second.next });
  assertEquals((await client.browse("foo", { since: "last:1" })).messages.map((message) => message.id), [2]);
  assertEquals(server.bus.topic("foo")!.pending, 3);
});

Deno.test("Client.browse tells what is missing", async () => {
  await using server = serveBus({ maxMessages: 2 });
  for (let i = 0; i < 5; i++) server.bus.put("foo", `${i}`);
  const client = new Client(server.uri);
  const { messages, gap } = await client.browse("foo", { since: "1" });
  assertEquals(messages.map((message) => message.id), [3, 4]);
  assertEquals(gap, { topic: "foo", from: 1, to: 2, reason: "dropped" });
  assertEquals((await client.browse("foo", { since: "1@zzz" })).gap, {
    topic: "foo",
    from: null,
    to: 2,
    reason: "reset",
  });
});

Deno.test("Client.browse of a missing topic is an empty page, from which to go on when there is one", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  const page = await client.browse("foo", { since: "10m" });
  assertEquals(page, { messages: [], next: "0" });
  server.bus.put("foo", "a");
  assertEquals((await client.browse("foo", { since: page.next })).messages.length, 1);
});

Deno.test("Client.browse waits for a message, from where the last wait ended", async () => {
  const none = () => new Response("", { headers: { "msgbus-next": "4@abc" } });
  const { client, asked } = scripted(none(), none());
  assertEquals(await client.browse("foo", { since: "latest", waitMs: 301_000 }), { messages: [], next: "4@abc" });
  assertEquals(asked, ["GET /foo?since=latest&wait=300000ms", "GET /foo?since=4%40abc&wait=1000ms"]);
});

Deno.test("Client.browse refuses what is no position without a request, and a server that would pull", async () => {
  const { client, asked } = scripted(new Response(""));
  await rejected(client.browse("foo", { since: "yesterday" }), "bad_cursor");
  assertEquals(asked, []);
  assertMatch((await rejected(client.browse("foo"), "unexpected_answer")).message, /with no page: is it msgbusd\?$/);
});

Deno.test("Client.topics tells what the bus tells", async () => {
  await using server = serveBus({ ttlMs: 0 });
  const client = new Client(server.uri);
  assertEquals(await client.topics(), []);
  for (const name of ["b", "a/ü", "__proto__", "constructor"]) server.bus.put(name, "x");
  assertEquals(await client.topics(), server.bus.topics());
});

Deno.test("Client.topic tells what the bus tells, and undefined for a missing topic", async () => {
  await using server = serveBus({ ttlMs: 90_500 });
  const client = new Client(server.uri);
  assertStrictEquals(await client.topic("foo"), undefined);
  server.bus.put("foo", "x");
  server.bus.put("foo", "y");
  server.bus.get("foo");
  assertEquals(await client.topic("/foo/"), server.bus.topic("foo"));
});

Deno.test("Client.delete tells whether there was a topic", async () => {
  await using server = serveBus();
  server.bus.put("foo", "x");
  const client = new Client(server.uri);
  assertEquals([await client.delete("foo"), await client.delete("foo")], [true, false]);
  assertEquals(server.bus.topics(), []);
});

Deno.test("Client encodes topic names so that the server reads the same name", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  for (const name of ["a b", "ü/日本/𝄞", "a&b=c;d+e:f@g", "~'()!$", "-x".slice(1), '[]{}|^`"<>']) {
    await client.publish(name, name);
    assertEquals((await client.pull(name))?.topic.name, name);
    assertEquals(await client.delete(name), true);
  }
});

Deno.test("Client refuses a bad topic name without a request", async () => {
  const client = new Client(unusedUri());
  await rejected(client.publish("a//b", "x"), "bad_topic");
  await rejected(client.pull(""), "bad_topic");
  await rejected(client.topic("a%2Fb"), "bad_topic");
  await rejected(client.delete("e\u0301"), "not_nfc");
  await rejected(client.pull("metrics"), "reserved");
  await rejected(client.delete("-/health"), "reserved");
  for (const topic of ["a*", "**/a", "a,", "a/-dead,metrics", Array(65).fill("a").join(",")]) {
    assertThrows(() => client.subscribe(topic), BusError);
  }
});

Deno.test("Client keeps the path of its URI", async () => {
  const urls: string[] = [];
  const client = new Client(new URL("https://example.org/some/bus//"), {
    fetch: (url) => {
      urls.push(url);
      return Promise.resolve(new Response(null, { status: 404, headers: { "msgbus-error": "no_topic" } }));
    },
  });
  assertEquals(client.uri, "https://example.org/some/bus");
  await client.pull("a/b");
  assertEquals(urls, ["https://example.org/some/bus/a/b"]);
});

Deno.test("Client refuses a URI that can't be a bus, and doesn't repeat a password", () => {
  const bad = [
    "",
    "localhost:8000",
    "foo",
    "ftp://localhost",
    "http://localhost/?a=b",
    "http://localhost/#x",
    "http://",
  ];
  for (const uri of bad) assertEquals(assertThrows(() => new Client(uri), BusError).code, "bad_option", uri);
  const error = assertThrows(() => new Client("http://me:secret@localhost"), BusError);
  assertEquals(error.message.includes("secret"), false);
});

Deno.test("Client says that it can't reach the server, and why", async () => {
  const uri = unusedUri();
  const error = await rejected(new Client(uri).publish("foo", "x"), "unreachable");
  assertEquals(error.message, `Cannot reach ${uri}: connection refused`);
  assertEquals(error.cause instanceof TypeError, true);
});

Deno.test("Client says that it can't reach a host without an address", async () => {
  const refused = new TypeError("fetch failed", {
    cause: Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }),
  });
  const client = new Client("http://nowhere.invalid", { fetch: () => Promise.reject(refused) });
  assertMatch((await rejected(client.topics(), "unreachable")).message, /: no such host$/);
});

Deno.test("Client tells half an answer from a whole one", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    await connection.write(new TextEncoder().encode('HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{"id":'));
  })();
  const error = await rejected(new Client(`http://127.0.0.1:${listener.addr.port}`).pull("foo"), "unreachable");
  assertMatch(error.message, /: connection lost$/);
  await served;
  listener.close();
});

Deno.test("Client doesn't follow a redirect, which would make a pull of a publish", async () => {
  const asked: string[] = [];
  await using server = serve((request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname}`);
    return new Response(null, { status: 301, headers: { location: "https://bus.example/foo" } });
  });
  const error = await rejected(new Client(server.uri).publish("foo", "x"), "unexpected_answer");
  assertStringIncludes(error.message, "redirects to https://bus.example/foo");
  assertEquals(asked, ["POST /foo"]);
});

Deno.test("Client reports answers that are not msgbusd's, on one line without control characters", async () => {
  const answers: [body: string, init: ResponseInit][] = [
    ["not found", { status: 404 }],
    ["", { status: 200 }],
    ["<html>", { status: 200 }],
    ["null", { status: 200 }],
    ["[1]", { status: 200 }],
    ["teapot\n", { status: 418, headers: { "msgbus-error": "newer_code" } }],
    ["\x1b[2J\x07evil\nsecond", { status: 500, headers: { "msgbus-error": "newer_code" } }],
  ];
  let answer = answers[0]!;
  await using server = serve(() => new Response(...answer));
  const client = new Client(server.uri);
  for (answer of answers) {
    for (const request of [client.publish("foo", "x"), client.pull("foo"), client.topics()]) {
      const error = await rejected(request, "unexpected_answer");
      // deno-lint-ignore no-control-regex
      assertEquals(/[\x00-\x1f\x7f]/.test(error.message), false, error.message);
    }
    await rejected(client.topic("foo"), "unexpected_answer");
  }
  await rejected(client.delete("foo"), "unexpected_answer");
});

Deno.test("Client keeps the words of a refusal, in JSON or in text", async () => {
  let body = '{"error":"topic_full","message":"no room"}';
  await using server = serve(() => new Response(body, { status: 507, headers: { "msgbus-error": "topic_full" } }));
  const client = new Client(server.uri);
  assertEquals((await rejected(client.publish("foo", "x"), "topic_full")).message, "no room");
  body = "no room either\n";
  assertEquals((await rejected(client.publish("foo", "x"), "topic_full")).message, "no room either");
  body = "";
  assertMatch((await rejected(client.publish("foo", "x"), "topic_full")).message, /answers 507 topic_full$/);
});

Deno.test("Client gives a request up when its signal aborts", async () => {
  const arrived = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<Response>();
  await using server = serve(() => {
    arrived.resolve();
    return leave.promise;
  });
  const controller = new AbortController();
  const pulled = new Client(server.uri).pull("foo", { signal: controller.signal });
  await arrived.promise;
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => pulled), reason);
  leave.resolve(new Response());
});
