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

test("curl -d says nothing of a body that counts; -H says what it is, and headers come back", async () => {
  await using server = serve();
  await using plain = curl("-d", "a", `${server.uri}/t?ttl=0`);
  await plain.lines.rest();
  await using said = curl(
    ...["-d", "b", "-H", "Content-Type: application/json", "-H", "Msgbus-Meta-Trace: 4711", "-H", "Msgbus-Key: é"],
    `${server.uri}/t`,
  );
  await said.lines.rest();
  assertEquals(server.bus.get("t")!.attributes, undefined);
  await using puller = curl("-D", "-", `${server.uri}/t?format=raw`);
  const lines = (await puller.lines.rest()).map((line) => line.trim().toLowerCase());
  for (const line of ["content-type: application/json", "msgbus-meta-trace: 4711", "msgbus-key: %c3%a9"]) {
    assertEquals(lines.includes(line), true, line);
  }
});

test("curl sends the same again with an Idempotency-Key, and expects a position with If-Match", async () => {
  await using server = serve();
  const args = ["-d", "{}", "-H", "Idempotency-Key: order-42", "-D", "-"];
  for (const isRepeat of [false, true]) {
    await using publisher = curl(...args, `${server.uri}/orders`);
    const lines = (await publisher.lines.rest()).map((line) => line.trim().toLowerCase());
    assertEquals([lines.includes("msgbus-id: 0"), lines.includes("msgbus-duplicate: true")], [true, isRepeat]);
  }
  await using other = curl("-d", "other", "-H", 'If-Match: "1"', "-w", "%{http_code}", `${server.uri}/orders`);
  assertEquals(await other.lines.rest(), ["202"]);
  await using late = curl(
    "-s",
    "-d",
    "late",
    "-H",
    "If-Match: 1",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    `${server.uri}/orders`,
  );
  assertEquals(await late.lines.rest(), ["412"]);
});

test("curl publishes later, sees what waits, and takes it back", async () => {
  await using server = serve();
  await using later = curl("-d", "tea is ready", "-H", "Accept: application/json", `${server.uri}/reminders?delay=10m`);
  const { scheduled, due } = JSON.parse((await later.lines.rest()).join(""));
  await using list = curl(`${server.uri}/-/scheduled?topic=reminders`);
  assertEquals(JSON.parse((await list.lines.rest()).join("")), [{ token: scheduled, due, bytes: 12 }]);
  const args = ["-X", "DELETE", "-w", "%{http_code}"];
  await using cancel = curl(...args, `${server.uri}/-/scheduled?topic=reminders&token=${scheduled}`);
  assertEquals([await cancel.lines.rest(), server.bus.totals().scheduled], [["204"], 0]);
});

test("curl asks, and another curl replies", async () => {
  await using server = serve();
  await using asked = curl("-d", "2+2", `${server.uri}/sums?reply=1m`);
  await using worker = curl(`${server.uri}/sums?wait=1m`);
  const token = JSON.parse((await worker.lines.next())!).headers["msgbus-reply-to"];
  await using replier = curl("-d", "4", "-w", "%{http_code}", `${server.uri}/-/reply/${token}`);
  assertEquals([await replier.lines.rest(), await asked.lines.rest()], [["202"], ["4"]]);
});
