/**
 * The metrics of the real program.
 *
 * @module
 */

import { FAMILIES } from "../../lib/metrics/families.ts";
import { assertEquals, assertGreater } from "../deps.ts";
import { labelsOf, readScrape, type Scrape, valueOf } from "../metrics/scrape.ts";
import { startServer } from "../processes.ts";

async function scrape(uri: string): Promise<Scrape> {
  const response = await fetch(`${uri}/metrics`);
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  return readScrape(await response.text());
}

async function publish(uri: string, topic: string): Promise<void> {
  const response = await fetch(`${uri}/${topic}`, { method: "POST", body: "hello" });
  await response.body?.cancel();
}

Deno.test("msgbusd serves metrics of everything it does, with the permissions it is released with", async () => {
  await using server = await startServer();
  for (let i = 0; i < 3; i++) await publish(server.uri, "t");
  await (await fetch(`${server.uri}/t`)).body?.cancel();
  await (await fetch(`${server.uri}/none`)).body?.cancel();
  const read = await scrape(server.uri);
  assertEquals([...read.keys()], FAMILIES.map(({ name }) => name));
  const values = {
    msgbus_messages_published_total: 3,
    msgbus_published_bytes_total: 15,
    msgbus_messages_pulled_total: 1,
    msgbus_server_requests: 5,
  };
  for (const [name, value] of Object.entries(values)) assertEquals(valueOf(read, name), value, name);
  assertEquals(valueOf(read, "msgbus_queue_len", { topic: "t" }), 2);
  assertEquals(valueOf(read, "msgbus_http_requests_total", { method: "POST", code: "202" }), 3);
  assertEquals(valueOf(read, "msgbus_errors_total", { code: "no_topic" }), 1);
  assertEquals(valueOf(read, "msgbus_http_request_duration_seconds_count", { route: "pull" }), 2);
  assertGreater(valueOf(read, "process_resident_memory_bytes"), 10_000_000);
  // The scrape before this one.
  const again = await scrape(server.uri);
  assertEquals(valueOf(again, "msgbus_http_request_duration_seconds_count", { route: "other" }), 1);
});

Deno.test("msgbusd counts subscriptions, and says how they ended", async () => {
  await using server = await startServer();
  const socket = new WebSocket(`${server.uri.replace("http", "ws")}/t`);
  await server.subscribed("t");
  const received = new Promise((resolve) => socket.onmessage = resolve);
  await publish(server.uri, "t");
  await received;
  const during = await scrape(server.uri);
  assertEquals(valueOf(during, "msgbus_subscriptions"), 1);
  assertEquals(valueOf(during, "msgbus_messages_delivered_total"), 1);
  assertEquals(valueOf(during, "msgbus_topic_subscriptions", { topic: "t" }), 1);
  assertEquals(valueOf(during, "msgbus_http_requests_total", { method: "GET", code: "101" }), 1);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  await (await fetch(`${server.uri}/t`, { method: "DELETE" })).body?.cancel();
  await closed;
  const after = await scrape(server.uri);
  assertEquals(valueOf(after, "msgbus_subscriptions_ended_total", { reason: "deleted" }), 1);
  assertEquals(valueOf(after, "msgbus_subscriptions"), 0);
});

for (const [topics, shown] of [["0", []], ["2", ["b", "a"]]] as const) {
  Deno.test(`msgbusd --metrics-topics ${topics} shows so many topics`, async () => {
    await using server = await startServer(["--metrics-topics", topics]);
    for (const topic of ["a", "b", "c", "b"]) await publish(server.uri, topic);
    assertEquals(labelsOf(await scrape(server.uri), "msgbus_queue_len", "topic"), [...shown]);
  });
}
