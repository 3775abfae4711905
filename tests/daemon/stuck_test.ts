/**
 * Subscribers of the real program that stop reading.
 *
 * @module
 */

import { assertEquals, assertMatch, assertRejects } from "../deps.ts";
import { WsClient } from "../deps_ws.ts";
import { daemon } from "./daemon.ts";

// More than the kernel keeps for a connection that nobody reads.
const TIMES = 24;
const PAYLOAD = new Uint8Array(1_000_000);

Deno.test("msgbusd detaches subscribers that read nothing, says so, and holds nobody up for them", async () => {
  await using server = await daemon(["--stall-timeout", "3s"]);
  const host = `127.0.0.1:${server.port}`;
  const socket = new WsClient(`ws://${host}/t`);
  await new Promise((resolve) => socket.on("open", resolve));
  socket.pause();
  const stream = await fetch(`http://${host}/t?format=sse`);
  const healthy = new WsClient(`ws://${host}/t`);
  await new Promise((resolve) => healthy.on("open", resolve));
  const ids: number[] = [];
  const all = new Promise<void>((resolve) =>
    healthy.on("message", (data: Uint8Array) => {
      ids.push(JSON.parse(new TextDecoder().decode(data)).id);
      if (ids.length === TIMES) resolve();
    })
  );
  for (let i = 0; i < TIMES; i++) {
    const answer = await fetch(`http://${host}/t`, { method: "POST", body: PAYLOAD });
    assertEquals([answer.status, await answer.text()], [202, ""]);
  }
  await all;
  assertEquals(ids, Array.from({ length: TIMES }, (_, id) => id));
  for (const _ of ["the socket", "the stream"]) {
    assertMatch(await server.stderr.find("detached"), /127\.0\.0\.1:\d+ detached from t: it reads nothing$/);
  }
  const metrics = await (await fetch(`http://${host}/metrics`)).text();
  assertMatch(metrics, /^msgbus_subscriptions_ended_total\{reason="stalled"\} 2$/m);
  assertMatch(metrics, /^msgbus_subscriptions 1$/m);

  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.resume();
  assertEquals(await closed, 4408);
  // It breaks off, so that its reader knows.
  await assertRejects(() => stream.text());
  const gone = new Promise((resolve) => healthy.on("close", resolve));
  healthy.close();
  await gone;
  server.kill("SIGTERM");
  const lines = (await server.stderr.rest()).map((line) => line.slice("2018/03/25 13:21:18 ".length));
  assertEquals(lines, ["msgbusd draining: SIGTERM", "msgbusd drained"]);
});
