/**
 * Workers of the real program, connected over WebSockets.
 *
 * @module
 */

import { assertEquals, assertGreater, assertMatch } from "../deps.ts";
import { Socket } from "../http/socket.ts";
import { Lines } from "../processes.ts";
import { daemon, publish } from "./daemon.ts";

const LINES = { protocols: ["msgbus.ndjson"] };

/** The next messages of a socket: id and attempt. */
async function messagesOf(socket: Socket, count: number): Promise<[id: number, attempt: number][]> {
  const messages: [number, number][] = [];
  while (messages.length < count) {
    const frame = await socket.next();
    if (frame === undefined) break;
    for (const line of frame.trimEnd().split("\n")) {
      const { id, attempt } = JSON.parse(line);
      messages.push([id, attempt]);
    }
  }
  return messages;
}

Deno.test("msgbusd gives the messages of a worker that is killed to another one at once, and counts no attempt", async () => {
  await using server = await daemon(["--ttl", "0"]);
  for (const payload of ["a", "b", "c"]) await publish(server.port, "t", payload);
  const { href } = new URL("worker.ts", import.meta.url);
  const target = `127.0.0.1:${server.port}/t?group=g&lease=1h`;
  const worker = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", `--allow-net=127.0.0.1:${server.port}`, href, `ws://${target}`],
    stdout: "piped",
  }).spawn();
  const lines = new Lines(worker.stdout);
  for (const id of [0, 1, 2]) assertEquals(JSON.parse((await lines.next())!).id, id);
  await using other = await Socket.open(server.port, "/t?group=g&lease=1h", LINES);
  worker.kill("SIGKILL");
  assertEquals(await messagesOf(other, 3), [[0, 1], [1, 1], [2, 1]]);
  await Promise.all([worker.status, lines.rest()]);
});

Deno.test("msgbusd says bye to workers when it drains, those that wait and those that are busy, and ends", async () => {
  await using server = await daemon(["--ttl", "0"]);
  await publish(server.port, "t", "a");
  await using busy = await Socket.open(server.port, "/t?group=g&inflight=1", LINES);
  assertEquals(await messagesOf(busy, 1), [[0, 1]]);
  await using waits = await Socket.open(server.port, "/t?group=g", LINES);
  server.kill("SIGTERM");
  for (const socket of [busy, waits]) {
    assertEquals(await socket.next(), `{"event":"bye"}\n`);
    assertEquals((await socket.closed).code, 1001);
  }
  assertEquals(await server.code, 0);
});

Deno.test("msgbusd takes back what a worker holds that reads nothing, and closes it with 4408", async () => {
  await using server = await daemon(["--ttl", "0", "--stall-timeout", "3s"]);
  await using stuck = await Socket.open(server.port, "/t?group=g&lease=1h", LINES);
  stuck.pause();
  // More than the kernel keeps for a connection that nobody reads.
  const payload = new Uint8Array(1_000_000);
  for (let i = 0; i < 24; i++) assertEquals(await publish(server.port, "t", payload), 202);
  await using other = await Socket.open(server.port, "/t?group=g&lease=1h", LINES);
  // What the stuck one holds comes back when it is closed; the rest comes at once.
  const messages = await messagesOf(other, 24);
  assertEquals(messages.toSorted(([a], [b]) => a - b), Array.from({ length: 24 }, (_, id) => [id, 1]));
  assertGreater(messages.findIndex(([id]) => id === 0), 0);
  stuck.resume();
  assertEquals((await stuck.closed).code, 4408);
  const groups = await (await fetch(`http://127.0.0.1:${server.port}/-/groups?topic=t`)).text();
  assertMatch(groups, /"group":"g".*"leased":24,/);
});
