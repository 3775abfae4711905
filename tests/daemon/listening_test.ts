/**
 * Where msgbusd listens, and what its options do to what it serves.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { Connection, type Fields, headOf } from "../http/serving.ts";
import { type Daemon, daemon, publish } from "./daemon.ts";

const HAS_IPV6 = hasIpv6();

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** The status of a `GET` with these header fields. */
async function ask({ port }: Daemon, target: string, fields: Fields = {}): Promise<number> {
  using connection = await Connection.open(port);
  await connection.write(headOf(`GET ${target} HTTP/1.1`, { host: "localhost", ...fields }));
  return (await connection.answer()).status;
}

Deno.test({
  name: "msgbusd on localhost:0 listens on both loopback addresses with the same port",
  ignore: !HAS_IPV6,
  async fn() {
    await using server = await daemon(["--bind", "localhost:0"]);
    assertMatch(server.firstLine, / msgbusd listening on localhost:[1-9]\d*$/);
    assertEquals(await publish(server.port, "t", "a", "127.0.0.1"), 202);
    assertEquals(await publish(server.port, "t", "b", "[::1]"), 202);
    assertEquals(await publish(server.port, "t", "c", "localhost"), 202);
  },
});

Deno.test({
  name: "msgbusd on :0 with --open serves IPv4 and IPv6, and warns",
  ignore: !HAS_IPV6,
  async fn() {
    await using server = await daemon(["--bind", ":0", "--open"]);
    assertMatch(server.firstLine, / msgbusd listening on :[1-9]\d*$/);
    assertStringIncludes((await server.stderr.next())!, "everybody who can reach it can read, write and delete");
    assertEquals(await publish(server.port, "t", "a", "127.0.0.1"), 202);
    assertEquals(await publish(server.port, "t", "b", "[::1]"), 202);
    assertEquals(await ask(server, "/t", { host: "bus.lan" }), 200);
  },
});

Deno.test("msgbusd on 0.0.0.0 with --open starts and warns", async () => {
  await using server = await daemon(["--bind", "0.0.0.0:0", "--open"]);
  assertStringIncludes((await server.stderr.next())!, "msgbusd is open");
  assertEquals(await ask(server, "/-/health", { host: "bus.lan" }), 200);
});

Deno.test("msgbusd on loopback does not warn, and is not open though --open would allow it", async () => {
  await using server = await daemon(["--open"]);
  assertEquals(await ask(server, "/-/health", { host: "bus.lan" }), 403);
  server.kill("SIGTERM");
  assert((await server.stderr.rest()).every((line) => !line.includes("msgbusd is open")));
});

Deno.test("msgbusd serves one bus on every --bind, and names them in order", async () => {
  await using server = await daemon(["-b", "127.0.0.1:0", "--bind=127.0.0.2:0"]);
  const [, first, second] = / listening on 127\.0\.0\.1:(\d+), 127\.0\.0\.2:(\d+)$/.exec(server.firstLine)!;
  assertEquals(await publish(Number(first), "t", "a"), 202);
  assertEquals(await ask(server, "/t"), 200);
  assert(Number(second) > 0);
});

Deno.test("msgbusd takes its options from the environment", async () => {
  await using server = await daemon([], {
    env: { MSGBUSD_BIND: "127.0.0.1:0", MSGBUSD_MAX_PAYLOAD_SIZE: "3", MSGBUSD_LOG_FORMAT: "json" },
  });
  assertMatch(JSON.parse(server.firstLine).msg, /^msgbusd listening on 127\.0\.0\.1:\d+$/);
  assertEquals([await publish(server.port, "t", "abc"), await publish(server.port, "t", "abcd")], [202, 413]);
});

Deno.test("msgbusd gives the bus the limits of its flags", async () => {
  const flags = ["-Q", "1", "--discard", "new", "--max-topics", "1", "-P", "3", "--ttl", "5m"];
  await using server = await daemon(flags);
  assertEquals(await publish(server.port, "t", "abc"), 202);
  assertEquals(await publish(server.port, "t", "abcd"), 413);
  assertEquals(await publish(server.port, "t", "abc"), 507);
  assertEquals(await publish(server.port, "u", "abc"), 507);
  const { headers } = await fetch(`http://127.0.0.1:${server.port}/t`, { method: "HEAD" });
  assertEquals([headers.get("msgbus-ttl"), headers.get("msgbus-length")], ["5m", "1"]);
});

Deno.test("msgbusd refuses foreign hosts, origins and proxies, unless its flags allow them", async () => {
  const foreign = [{ host: "bus.example" }, { origin: "https://app.example" }, { via: "1.1 proxy" }];
  await using strict = await daemon();
  for (const fields of foreign) assertEquals(await ask(strict, "/-/health", fields), 403);
  const flags = ["--public-host", "bus.example", "--allow-origin", "https://app.example", "--trust-proxy"];
  await using lax = await daemon(flags);
  for (const fields of foreign) assertEquals(await ask(lax, "/-/health", fields), 200);
});
