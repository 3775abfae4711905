/**
 * How msgbusd ends.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "../deps.ts";
import { Connection, HANDSHAKE, headOf } from "../http/serving.ts";
import { Socket } from "../http/socket.ts";
import { beginPublish, daemon, publish } from "./daemon.ts";

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  Deno.test(`msgbusd drains on ${signal}: it says so, and exits with 0`, async () => {
    await using server = await daemon();
    await publish(server.port, "foo", "hi");
    server.kill(signal);
    assertEquals((await server.stderr.rest()).map((line) => line.slice(20)), [
      `msgbusd draining: ${signal}`,
      "msgbusd drained",
    ]);
    assertEquals(await server.code, 0);
  });

  Deno.test(`msgbusd closes its subscribers with 1001 on ${signal}`, async () => {
    await using server = await daemon();
    await using one = await Socket.open(server.port, "/foo");
    await using two = await Socket.open(server.port, "/bar");
    server.kill(signal);
    assertEquals([(await one.closed).code, (await two.closed).code], [1001, 1001]);
    assertEquals(await server.code, 0);
  });

  Deno.test(`msgbusd exits at once, with ${code}, on a second ${signal}`, async () => {
    await using server = await daemon();
    using _stuck = await beginPublish(server.port, "foo", "half a b", 1000);
    server.kill(signal);
    assertStringIncludes((await server.stderr.next())!, "draining");
    server.kill(signal);
    assertEquals(await server.code, code);
  });
}

Deno.test("msgbusd finishes the requests it has begun while it drains, and takes no new ones", async () => {
  await using server = await daemon();
  using slow = await beginPublish(server.port, "foo", "sl", 4);
  server.kill("SIGTERM");
  assertStringIncludes((await server.stderr.next())!, "draining");
  assertEquals(await publish(server.port, "foo", "too late"), 503);
  await slow.write("ow");
  const { status, headers } = await slow.answer();
  assertEquals([status, headers.get("msgbus-id")], [202, "0"]);
  assertEquals(await server.code, 0);
});

Deno.test("msgbusd sends a subscriber what was published before the signal", async () => {
  await using server = await daemon();
  await using socket = await Socket.open(server.port, "/foo");
  await publish(server.port, "foo", "last words");
  server.kill("SIGTERM");
  assertEquals(await socket.ids(2), [0]);
  assertEquals((await socket.closed).code, 1001);
});

Deno.test("msgbusd ends though connections are idle or have sent half a request", async () => {
  await using server = await daemon();
  using idle = await Connection.open(server.port);
  using used = await Connection.open(server.port);
  await used.write(headOf("GET /-/health HTTP/1.1", { host: "localhost" }));
  await used.answer();
  using half = await Connection.open(server.port);
  await half.write("GET /foo HTTP/1.1\r\nHost: local");
  await publish(server.port, "foo", "hi");
  server.kill("SIGTERM");
  assertEquals(await server.code, 0);
  await idle.rest();
});

Deno.test("msgbusd ends though a client vanished in its handshake", async () => {
  await using server = await daemon();
  const gone = await Connection.open(server.port);
  await gone.write(headOf("GET /foo HTTP/1.1", { host: "localhost", ...HANDSHAKE }));
  gone[Symbol.dispose]();
  await publish(server.port, "foo", "hi");
  server.kill("SIGTERM");
  assertEquals(await server.code, 0);
});
