/**
 * Subscribing over WebSocket.
 *
 * @module
 */

import { connect } from "node:net";
import { MessageBus } from "../../lib/bus/bus.ts";
import { createHandler } from "../../lib/http/handler.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assert, assertEquals, assertLess, assertLessOrEqual, assertStringIncludes } from "../deps.ts";
import { Connection, type Fields, HANDSHAKE, headOf, serve } from "./serving.ts";
import { Socket } from "./socket.ts";

Deno.test("subscribe: every message is one text frame with the envelope that a pull gives", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t");
  for (const payload of ["a", "b"]) await server.ask("PUT /t", {}, payload);
  assertEquals([await socket.next(), await socket.next()], [
    (await server.ask("GET /t")).body.trimEnd(),
    (await server.ask("GET /t")).body.trimEnd(),
  ]);
});

Deno.test("subscribe: no message that is published after the socket is open is missed, round after round", async () => {
  await using server = serve();
  for (let round = 0; round < 100; round++) {
    await using socket = await Socket.open(server.port, `/t${round % 2}`);
    const topic = `t${round % 2}`;
    const first = server.bus.put(topic, "first").id;
    await server.ask(`PUT /${topic}`, {}, "second");
    assertEquals(await socket.ids(2), [first, first + 1]);
  }
});

Deno.test("subscribe: no message that is published after the 101 was sent is missed", async () => {
  await using server = serve();
  for (let round = 0; round < 50; round++) {
    using connection = await Connection.open(server.port);
    await connection.write(server.request("GET /t", HANDSHAKE));
    assertEquals((await connection.answer()).status, 101);
    const { id } = server.bus.put("t", "hi");
    const [finAndText, length] = await connection.bytes(2);
    assertEquals([finAndText, length], [0x81, 126]); // a length of 16 bits follows
    const frame = (await connection.bytes(2 + 40)).slice(2);
    assertStringIncludes(new TextDecoder().decode(frame), `{"id":${id},`);
  }
});

Deno.test("subscribe: all subscribers get all messages, and the queue keeps them, too", async () => {
  await using server = serve();
  await using one = await Socket.open(server.port, "/t");
  await using two = await Socket.open(server.port, "/t/");
  await using other = await Socket.open(server.port, "/u");
  for (let i = 0; i < 100; i++) server.bus.put("t", `${i}`);
  server.bus.put("u", "for another");
  const all = Array.from({ length: 100 }, (_, i) => i);
  assertEquals([await one.ids(100), await two.ids(100), await other.ids(1)], [all, all, [0]]);
  assertEquals(server.bus.topic("t")?.pending, 100);
  assertEquals((await server.ask("HEAD /t")).headers.get("msgbus-subscribers"), "2");
});

Deno.test("subscribe: binary and large payloads arrive whole", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t");
  const large = crypto.getRandomValues(new Uint8Array(60_000));
  for (const payload of [large, new Uint8Array(0)]) {
    server.bus.put("t", payload);
    assertEquals(Uint8Array.fromBase64(JSON.parse((await socket.next())!).payload), payload);
  }
});

Deno.test("subscribe: the answer has the headers of every answer", async () => {
  await using server = serve();
  using connection = await Connection.open(server.port);
  await connection.write(server.request("GET /t", HANDSHAKE));
  const { headers } = await connection.answer();
  assertEquals(headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455, section 1.3
  assertEquals([headers.get("cache-control"), headers.get("x-content-type-options")], ["no-store", "nosniff"]);
  assertEquals(headers.get("sec-websocket-protocol"), null);
});

/** Handshakes that are refused, with status and code. */
const REFUSED: readonly (readonly [what: string, line: string, fields: Fields, status: number, code: string])[] = [
  ["POST", "POST /t", HANDSHAKE, 405, "method_not_allowed"],
  ["PUT", "PUT /t", HANDSHAKE, 405, "method_not_allowed"],
  ["version 8", "GET /t", { ...HANDSHAKE, "sec-websocket-version": "8" }, 426, "upgrade_required"],
  ["no version", "GET /t", { ...HANDSHAKE, "sec-websocket-version": undefined }, 426, "upgrade_required"],
  ["no key", "GET /t", { ...HANDSHAKE, "sec-websocket-key": undefined }, 400, "bad_request"],
  ["a key of 15 bytes", "GET /t", { ...HANDSHAKE, "sec-websocket-key": "dGhlIHNhbXBsZSBub25j" }, 400, "bad_request"],
  [
    "a key that is not base64",
    "GET /t",
    { ...HANDSHAKE, "sec-websocket-key": "the sample nonce!!!!!!==" },
    400,
    "bad_request",
  ],
  ["no Connection", "GET /t", { ...HANDSHAKE, connection: undefined }, 400, "bad_request"],
  ["Connection: close", "GET /t", { ...HANDSHAKE, connection: "close" }, 400, "bad_request"],
  ["an unknown subprotocol", "GET /t", { ...HANDSHAKE, "sec-websocket-protocol": "mqtt" }, 400, "unknown_subprotocol"],
  ["two unknown ones", "GET /t", { ...HANDSHAKE, "sec-websocket-protocol": "a,b" }, 400, "unknown_subprotocol"],
  ["a bad topic", "GET /a//b", HANDSHAKE, 400, "bad_topic"],
  ["no topic", "GET /", HANDSHAKE, 400, "bad_topic"],
  ["an endpoint", "GET /metrics", HANDSHAKE, 404, "no_topic"],
  ["an unknown parameter", "GET /t?x=1", HANDSHAKE, 400, "unknown_parameter"],
  ["a cursor with a NUL", "GET /t", { ...HANDSHAKE, "last-event-id": "1%00" }, 400, "bad_cursor"],
  ["a cursor of 1 KiB", "GET /t", { ...HANDSHAKE, "last-event-id": "1".repeat(1024) }, 400, "bad_cursor"],
  ["a path as cursor", "GET /t", { ...HANDSHAKE, "last-event-id": "../" }, 400, "bad_cursor"],
  ["an empty cursor", "GET /t", { ...HANDSHAKE, "last-event-id": "" }, 400, "bad_cursor"],
  ["a negative cursor", "GET /t", { ...HANDSHAKE, "last-event-id": "-1" }, 400, "bad_cursor"],
  ["a cursor over 2^53", "GET /t", { ...HANDSHAKE, "last-event-id": "9007199254740993" }, 400, "bad_cursor"],
];

for (const [what, line, fields, status, code] of REFUSED) {
  Deno.test(`subscribe: a handshake with ${what} is ${status} ${code}`, async () => {
    await using server = serve();
    const answer = await server.ask(line, fields);
    assertEquals([answer.status, answer.error], [status, code]);
    assertEquals(answer.headers.get("sec-websocket-version"), status === 426 ? "13" : null);
    assertEquals(answer.headers.get("allow"), status === 405 ? "GET" : null);
    assertEquals(server.bus.totals().subscriptions, 0);
  });
}

for (const offered of ["msgbus", "a,msgbus", "msgbus,b", "a, msgbus , b", "chat,,msgbus"]) {
  Deno.test(`subscribe: of the subprotocols "${offered}" it picks msgbus`, async () => {
    await using server = serve();
    using connection = await Connection.open(server.port);
    await connection.write(server.request("GET /t", { ...HANDSHAKE, "sec-websocket-protocol": offered }));
    const { status, headers } = await connection.answer();
    assertEquals([status, headers.get("sec-websocket-protocol")], [101, "msgbus"]);
  });
}

Deno.test("subscribe: a client that offers msgbus gets it, and the same frames", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t", { protocols: ["other", "msgbus"] });
  assertEquals(socket.protocol, "msgbus");
  server.bus.put("t", "hi");
  assertEquals(await socket.ids(1), [0]);
});

Deno.test("subscribe: tokens of the handshake count in any case and among others", async () => {
  await using server = serve();
  using connection = await Connection.open(server.port);
  const fields = { ...HANDSHAKE, connection: "keep-alive, UPGRADE", upgrade: "h2c, WebSocket" };
  await connection.write(server.request("GET /t", fields));
  assertEquals((await connection.answer()).status, 101);
});

Deno.test("subscribe: Last-Event-ID resumes after the message whose cursor it is", async () => {
  await using server = serve();
  for (let i = 0; i < 5; i++) server.bus.put("t", `${i}`);
  const { cursor } = server.bus.topic("t")!;
  const epoch = cursor.split("@")[1];
  for (const [id, expected] of [[`3@${epoch}`, [3, 4]], ["2", [2, 3, 4]], [`0@${epoch}`, [0, 1, 2, 3, 4]]] as const) {
    await using socket = await Socket.open(server.port, "/t", { headers: { "last-event-id": id } });
    assertEquals(await socket.ids(expected.length), [...expected]);
  }
  await using live = await Socket.open(server.port, "/t", { headers: { "last-event-id": cursor } });
  server.bus.put("t", "new");
  assertEquals(await live.ids(1), [5]);
});

Deno.test("subscribe: a cursor of another epoch or beyond the end begins at the first retained message", async () => {
  await using server = serve({ maxMessages: 2 });
  for (let i = 0; i < 4; i++) server.bus.put("t", `${i}`);
  for (const id of ["3@abc", "17", "9007199254740991"]) {
    await using socket = await Socket.open(server.port, "/t", { headers: { "last-event-id": id } });
    assertEquals(await socket.ids(2), [2, 3], id);
  }
});

Deno.test("subscribe: a topic that does not exist yet is waited for, and not made", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/later", { headers: { "last-event-id": "17@abc" } });
  assertEquals(server.bus.topics(), []);
  await server.ask("PUT /later", {}, "hi");
  assertEquals(await socket.ids(1), [0]);
});

Deno.test("subscribe: a subscriber of a topic that is deleted is closed with 4404", async () => {
  await using server = serve();
  server.bus.put("t", "hi");
  await using socket = await Socket.open(server.port, "/t");
  await server.ask("DELETE /t");
  assertEquals(await socket.closed, { code: 4404, reason: "the topic was deleted" });
  assertEquals(server.bus.totals().subscriptions, 0);
});

Deno.test("subscribe: draining closes with 1001, after what was published before", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t");
  server.bus.put("t", "last words");
  server.bus.drain();
  assertEquals(await socket.ids(2), [0]);
  assertEquals(await socket.closed, { code: 1001, reason: "the server is shutting down" });
});

Deno.test("subscribe: a socket that opens while the server drains is closed with 1001", async () => {
  await using server = serve({
    // The handshake is not answered yet.
    observer: { subscribed: () => queueMicrotask(() => server.bus.drain()) },
  });
  await using socket = await Socket.open(server.port, "/t");
  assertEquals((await socket.closed).code, 1001);
});

Deno.test("subscribe: what a subscriber sends is forgotten, but a message over the limit closes with 1009", async () => {
  await using server = serve({ maxPayloadBytes: 10 });
  await using socket = await Socket.open(server.port, "/t");
  for (const data of ["", "0123456789", new Uint8Array(10)]) socket.send(data);
  server.bus.put("t", "hi");
  assertEquals(await socket.ids(1), [0]);
  socket.send("0123456789!");
  assertEquals((await socket.closed).code, 1009);

  await using binary = await Socket.open(server.port, "/t");
  binary.send(new Uint8Array(11));
  assertEquals((await binary.closed).code, 1009);
});

for (
  const [how, leave] of [
    ["says goodbye", (socket: Socket) => socket.close()],
    ["vanishes", (socket: Socket) => socket.terminate()],
  ] as const
) {
  Deno.test(`subscribe: a client that ${how} is no subscriber any more`, async () => {
    const left = Promise.withResolvers<void>();
    await using server = serve({ observer: { unsubscribed: () => left.resolve() } });
    await using socket = await Socket.open(server.port, "/t");
    await using stays = await Socket.open(server.port, "/t");
    await leave(socket);
    await left.promise;
    assertEquals(server.bus.totals().subscriptions, 1);
    server.bus.put("t", "hi");
    assertEquals(await stays.ids(1), [0]);
  });
}

for (
  const broken of [
    "\x83\x00",
    "\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00",
    "\xc1\x85\x00\x00\x00\x00hello",
    "\x81\x02\xff\xff",
  ]
) {
  Deno.test(`subscribe: a client that breaks the framing (${hexOf(broken)}) and leaves harms nobody`, async () => {
    const left = Promise.withResolvers<void>();
    await using server = serve({ observer: { unsubscribed: () => left.resolve() } });
    await using stays = await Socket.open(server.port, "/t");
    using connection = await Connection.open(server.port);
    await connection.write(server.request("GET /t", HANDSHAKE));
    assertEquals((await connection.answer()).status, 101);
    await connection.write(Uint8Array.from(broken, (c) => c.charCodeAt(0)));
    await connection.endOfRequests();
    await left.promise;
    assertEquals(server.bus.totals().subscriptions, 1);
    server.bus.put("t", "hi");
    assertEquals(await stays.ids(1), [0]);
  });
}

function hexOf(text: string): string {
  return Array.from(text, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
}

Deno.test({
  name: "subscribe: a client that is gone before its handshake is answered is forgotten after 10 s",
  // Deno never ends the upgrade of such a connection, nor gives its descriptor back.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const clock = new TestClock();
    const bus = new MessageBus();
    const handler = createHandler(bus, { clock });
    const asked = Promise.withResolvers<void>();
    const stop = new AbortController();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {}, signal: stop.signal },
      (request, info) => {
        const response = handler(request, info);
        asked.resolve();
        return response;
      },
    );
    const client = connect(server.addr.port, "127.0.0.1", () => {
      client.write(headOf("GET /t HTTP/1.1", { host: "localhost", ...HANDSHAKE }));
      client.resetAndDestroy();
    });
    client.on("error", () => {});
    await asked.promise;
    clock.tick(9_999);
    clock.tick(1);
    assertEquals(bus.totals().subscriptions, 0);
    await bus.close();
    stop.abort();
    await server.finished;
  },
});

Deno.test("subscribe: a client that reads nothing costs a bounded buffer, and nobody waits for it", async () => {
  const platform = Deno.upgradeWebSocket;
  const sockets: WebSocket[] = [];
  // The buffer of a server's socket can't be seen from outside.
  Deno.upgradeWebSocket = (...args) => {
    const upgraded = platform(...args);
    sockets.push(upgraded.socket);
    return upgraded;
  };
  try {
    await using server = serve({ maxTopicBytes: 4 * 1024 ** 2 });
    await using stuck = await Socket.open(server.port, "/t");
    await using reader = await Socket.open(server.port, "/t");
    stuck.pause();
    const payload = new Uint8Array(64 * 1024);
    const count = 800; // 50 MiB, and a third more as base64
    let highest = 0;
    for (let id = 0; id < count; id++) {
      assertEquals((await server.ask("PUT /t", {}, payload)).headers.get("msgbus-id"), String(id));
      assertEquals(await reader.ids(1), [id]);
      highest = Math.max(highest, sockets[0]!.bufferedAmount);
    }
    assertLess(0, highest);
    assertLessOrEqual(highest, 256 * 1024);
    const { length } = server.bus.topic("t")!;
    stuck.resume();
    const ids = await stuck.ids(1);
    while (ids.at(-1) !== count - 1) ids.push(...await stuck.ids(1));
    // In order, without what the log dropped meanwhile, with all that it retained.
    assert(ids.every((id, i) => i === 0 || id > ids[i - 1]!));
    assertLess(ids.length, count);
    assertEquals(ids.slice(-length), Array.from({ length }, (_, i) => count - length + i));
    assertEquals(server.bus.totals().subscriptions, 2);
  } finally {
    Deno.upgradeWebSocket = platform;
  }
});

Deno.test("subscribe: a message larger than the buffer is sent to a reader that keeps up", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t");
  for (let id = 0; id < 3; id++) {
    server.bus.put("t", new Uint8Array(1024 ** 2));
    assertEquals(await socket.ids(1), [id]);
  }
});
