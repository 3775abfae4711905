/**
 * The bus with curl, as the documentation shows it.
 *
 * @module
 */

import { assertEquals, assertMatch } from "../deps.ts";
import { interpret } from "../http/event_stream.ts";
import { serve } from "../http/serving.ts";
import { installed, unlessInstalled } from "../installed.ts";
import { Lines } from "../processes.ts";

const hasCurl = await installed("curl");
const without = unlessInstalled("curl", hasCurl);

/** A curl that runs until it is disposed. */
function curl(...args: string[]): { readonly lines: Lines } & AsyncDisposable {
  const child = new Deno.Command("curl", { args: ["-sS", ...args], stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
  const lines = new Lines(child.stdout);
  return {
    lines,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await lines.rest();
    },
  };
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${without}`, ignore: !hasCurl, fn });
}

test("curl publishes with -d, and pulls", async () => {
  await using server = serve();
  await using publisher = curl("-d", "hello", "-w", "%{http_code}", `${server.uri}/t`);
  assertEquals(await publisher.lines.rest(), ["202"]);
  await using puller = curl(`${server.uri}/t`);
  assertEquals(atob(JSON.parse((await puller.lines.next())!).payload), "hello");
});

test("curl that waits gets the message that comes", async () => {
  const waiting = Promise.withResolvers<void>();
  await using server = serve({}, { onWork: () => waiting.resolve() });
  await using puller = curl(`${server.uri}/t?wait=20s&format=raw`);
  await waiting.promise;
  server.bus.put("t", "hello");
  assertEquals(await puller.lines.rest(), ["hello"]);
});

test("curl -N prints each message of an NDJSON stream when it is published", async () => {
  await using server = serve();
  await using reader = curl("-N", "-H", "Accept: application/x-ndjson", `${server.uri}/t`);
  assertMatch((await reader.lines.next())!, /"caught-up"/);
  for (let id = 0; id < 5; id++) {
    server.bus.put("t", `${id}`);
    assertEquals(JSON.parse((await reader.lines.next())!).id, id);
  }
  server.bus.drain();
  assertMatch((await reader.lines.rest()).join(), /"bye"/);
});

test("curl -N prints server-sent events, of topics that match, too", async () => {
  await using server = serve();
  await using reader = curl("-N", "-g", `${server.uri}/orders/*,audit?format=sse`);
  await reader.lines.find(`data: {"event":"caught-up"`);
  server.bus.put("orders/eu", "a");
  server.bus.put("orders", "not this one");
  server.bus.put("audit", "b");
  server.bus.drain();
  const { events } = interpret((await reader.lines.rest()).map((line) => `${line}\n`).join(""));
  const names = events.filter(({ type }) => type === "message").map(({ data }) => JSON.parse(data).topic.name);
  assertEquals(names.toSorted(), ["audit", "orders/eu"]);
  assertEquals(events.at(-1)!.type, "bye");
});

test("curl browses page by page", async () => {
  await using server = serve();
  for (let i = 0; i < 5; i++) server.bus.put("t", `${i}`);
  let next = "0";
  const pages: number[][] = [];
  for (let page = 0; page < 3; page++) {
    await using reader = curl("-D", "-", `${server.uri}/t?since=${next}&limit=2`);
    const lines = await reader.lines.rest();
    next = lines.find((line) => line.toLowerCase().startsWith("msgbus-next: "))!.trim().slice("msgbus-next: ".length);
    pages.push(lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line).id));
  }
  assertEquals(pages, [[0, 1], [2, 3], [4]]);
});
