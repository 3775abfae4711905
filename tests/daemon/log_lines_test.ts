/**
 * What msgbusd logs.
 *
 * @module
 */

import { assertEquals, assertMatch } from "../deps.ts";
import { Connection, headOf } from "../http/serving.ts";
import { Socket } from "../http/socket.ts";
import { type Daemon, daemon, publish } from "./daemon.ts";

/** Ends a server and gives what it has logged since its first line, without the times. */
async function logOf(server: Daemon): Promise<string[]> {
  server.kill("SIGTERM");
  return (await server.stderr.rest()).map((line) => line.slice("2018/03/25 13:21:18 ".length));
}

async function pull(port: number, topic: string): Promise<void> {
  await (await fetch(`http://127.0.0.1:${port}/${topic}`)).body?.cancel();
}

Deno.test("msgbusd --log-messages on logs each message as the original does", async () => {
  await using server = await daemon(["--log-messages", "on"]);
  await using socket = await Socket.open(server.port, "/foo");
  await publish(server.port, "foo", "hi");
  await socket.next();
  await pull(server.port, "foo");
  const [subscribe, ...lines] = await logOf(server);
  assertMatch(subscribe!, /^\[msgbus\] Subscribe id=127\.0\.0\.1:\d+ topic=foo$/);
  assertEquals(lines, [
    "[msgbus] PUT id=0 topic=foo payload=hi",
    "[msgbus] NotifyAll id=0 topic=foo payload=hi",
    "[msgbus] GET topic=foo",
    "msgbusd draining: SIGTERM",
    "msgbusd drained",
  ]);
});

for (const when of ["auto", "off"]) {
  Deno.test(`msgbusd --log-messages ${when} logs no message where no terminal is`, async () => {
    await using server = await daemon(["--log-messages", when]);
    await publish(server.port, "foo", "hi");
    await pull(server.port, "foo");
    assertEquals(await logOf(server), ["msgbusd draining: SIGTERM", "msgbusd drained"]);
  });
}

Deno.test("msgbusd escapes control characters of a payload and shortens a long one", async () => {
  await using server = await daemon(["--log-messages", "on"]);
  await publish(server.port, "foo", "\x1b[2J\r\nforged\x07");
  await publish(server.port, "foo", "x".repeat(100_000));
  const payloads = (await logOf(server)).filter((line) => line.startsWith("[msgbus] PUT"))
    .map((line) => line.split(" payload=")[1]);
  assertEquals(payloads, ["\\u001b[2J\\r\\nforged\\u0007", `${"x".repeat(64)}…`]);
});

Deno.test("msgbusd logs at most 1000 lines a second, and counts what it left out", async () => {
  await using server = await daemon(["--log-messages", "on"]);
  const response = await fetch(`http://127.0.0.1:${server.port}/foo?split=lines`, {
    method: "PUT",
    body: "hi\n".repeat(3000),
  });
  assertEquals(response.headers.get("msgbus-count"), "3000");
  await response.body?.cancel();
  let written = 0;
  let leftOut = 0;
  while (written + leftOut < 6000) {
    const line = (await server.stderr.next())!;
    if (line.includes(" payload=hi")) written++;
    leftOut += Number(/ \[msgbus\] (\d+) more lines left out$/.exec(line)?.[1] ?? 0);
  }
  assertEquals([written + leftOut, leftOut > 0], [6000, true]);
});

Deno.test("msgbusd --log-format json logs one JSON object a line", async () => {
  await using server = await daemon(["--log-format", "json", "--log-messages", "on", "--debug"]);
  await publish(server.port, "foo", `"\x1b\u2028é`);
  await pull(server.port, "nothing");
  using connection = await Connection.open(server.port);
  await connection.write(headOf("GET /foo HTTP/1.1", { host: "evil.example" }));
  await connection.answer();
  server.kill("SIGTERM");
  const lines = [server.firstLine, ...await server.stderr.rest()].map((line) => JSON.parse(line));
  assertEquals(lines.map(({ lvl, evt }) => [lvl, evt]), [
    ["info", "listening"],
    ["info", "put"],
    ["info", "notify"],
    ["info", "get"],
    ["debug", "no_topic"],
    ["warn", "host_not_allowed"],
    ["info", "draining"],
    ["info", "drained"],
  ]);
  assertEquals(lines[1].msg, `[msgbus] PUT id=0 topic=foo payload="\x1b\u2028é`);
  assertMatch(lines[5].ip, /^127\.0\.0\.1:\d+$/);
  for (const { time } of lines) assertEquals(new Date(time).toISOString(), time);
});

Deno.test("msgbusd logs a refusal that may be an attack, and others only with --debug", async () => {
  for (const [flags, expected] of [[[], 1], [["--debug"], 2]] as const) {
    await using server = await daemon(flags);
    using connection = await Connection.open(server.port);
    await connection.write(headOf("GET /foo HTTP/1.1", { host: "localhost", origin: "https://evil.example" }));
    await connection.answer();
    await pull(server.port, "nothing");
    const lines = (await logOf(server)).slice(0, -2);
    assertEquals(lines.length, expected);
    assertMatch(
      lines[0]!,
      /^127\.0\.0\.1:\d+ Refused: pages of "https:\/\/evil\.example" may not use this bus/,
    );
  }
});

Deno.test("msgbusd goes on when nobody reads its log any more", async () => {
  await using server = await daemon(["--log-messages", "on"]);
  await server.stderr.close();
  for (let i = 0; i < 50; i++) assertEquals(await publish(server.port, "foo", "hi"), 202);
  server.kill("SIGTERM");
  assertEquals(await server.code, 0);
});
