/**
 * Browsing over HTTP: looking at what is retained, and taking nothing.
 *
 * @module
 */

import { assertEquals, assertLessOrEqual } from "../deps.ts";
import { direct, settled } from "./direct.ts";
import { Connection, serve } from "./serving.ts";
import { idsOf, range } from "./streams.ts";

Deno.test("browse: the messages from a position on in NDJSON, and where the next page begins", async () => {
  await using server = direct();
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  const answer = await server.get("/t?since=1");
  assertEquals([answer.status, answer.headers.get("content-type")], [200, "application/x-ndjson"]);
  assertEquals(answer.headers.get("msgbus-next"), server.bus.topic("t")!.cursor);
  const pulled = await (await server.get("/t?limit=3")).text();
  assertEquals(await answer.text(), pulled.slice(pulled.indexOf("\n") + 1)); // the envelopes that a pull gives
});

Deno.test("browse: nothing is taken, whatever is looked at how often", async () => {
  await using server = direct();
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  for (const since of ["earliest", "0", "latest", "last:2", "10m"]) await server.get(`/t?since=${since}`);
  assertEquals(server.bus.topic("t")?.pending, 3);
});

Deno.test("browse: a page has 100 messages, and as many as limit says", async () => {
  await using server = direct();
  for (let i = 0; i < 250; i++) server.bus.put("t", `${i}`);
  for (const [query, count] of [["", 100], ["&limit=1", 1], ["&limit=249", 249], ["&limit=10000", 250]] as const) {
    assertEquals(idsOf(await (await server.get(`/t?since=0${query}`)).text()), range(0, count));
  }
});

for (const limit of [1, 7, 100, 1000]) {
  Deno.test(`browse: pages of ${limit} chain over a whole log by Msgbus-Next, each message once`, async () => {
    await using server = direct();
    for (let i = 0; i < 257; i++) server.bus.put("t", `${i}`);
    const ids: number[] = [];
    for (let next = "earliest";;) {
      const page = await server.get(`/t?since=${next}&limit=${limit}`);
      assertEquals(page.status, 200);
      const found = idsOf(await page.text());
      ids.push(...found);
      next = page.headers.get("msgbus-next")!;
      if (found.length === 0) break;
    }
    assertEquals(ids, range(0, 257));
  });
}

Deno.test("browse: a page has at most 8 MiB, and the next one goes on", async () => {
  await using server = direct();
  for (let i = 0; i < 8; i++) server.bus.put("t", new Uint8Array(1024 ** 2));
  const first = await server.get("/t?since=0&limit=10000");
  const lines = await first.text();
  assertEquals(idsOf(lines), range(0, 5));
  assertLessOrEqual(lines.length, 8 * 1024 ** 2);
  assertEquals(idsOf(await (await server.get(`/t?since=${first.headers.get("msgbus-next")}`)).text()), range(5, 8));
});

Deno.test("browse: a page without messages is 200 and says where to go on, too", async () => {
  await using server = direct();
  server.bus.put("t", "a");
  const { cursor } = server.bus.topic("t")!;
  for (const since of ["latest", cursor, "1", "last:0"]) {
    const answer = await server.get(`/t?since=${since}`);
    assertEquals([answer.status, answer.headers.get("msgbus-next"), await answer.text()], [200, cursor, ""], since);
  }
});

Deno.test("browse: last:N gives the newest N, or all if there are less", async () => {
  await using server = direct();
  for (let i = 0; i < 5; i++) server.bus.put("t", `${i}`);
  for (const [count, first] of [[1, 4], [3, 2], [5, 0], [500, 0]] as const) {
    const answer = await server.get(`/t?since=last:${count}`);
    assertEquals([idsOf(await answer.text()), answer.headers.get("msgbus-gap")], [range(first, 5), null]);
  }
});

Deno.test("browse: a time gives what was created at or after it, in every spelling", async () => {
  await using server = direct();
  const { bus, clock } = server; // It is 2018-03-25T13:18:38.732Z.
  for (let i = 0; i < 4; i++) {
    bus.put("t", `${i}`);
    clock.tick(1000);
  }
  const ids = async (since: string) => idsOf(await (await server.get(`/t?since=${since}`)).text());
  assertEquals(await ids("2018-03-25T13:18:40.732Z"), [2, 3]);
  assertEquals(await ids("2018-03-25T13:18:40.733Z"), [3]);
  assertEquals(await ids("2018-03-25t15:18:40.732%2B02:00"), [2, 3]);
  assertEquals(await ids("2018-03-25T15:18:40.732+02:00"), [2, 3]);
  assertEquals(await ids("2018-03-25%2013:18:41Z"), [3]);
  assertEquals(idsOf(await (await server.get("/t?index=2018-03-25T15:18:40.732+02:00")).text()), [2, 3]);
  assertEquals(await ids("2s"), [2, 3]);
  assertEquals(await ids("1s"), [3]);
  assertEquals(await ids(`T${(clock.now() - 3000).toString(36)}`), [1, 2, 3]);
});

Deno.test("browse: what is missing at the place asked for is said in a header", async () => {
  await using server = direct({ maxMessages: 2, ttlMs: 10_000 });
  for (let i = 0; i < 5; i++) server.bus.put("t", `${i}`);
  const gapOf = async (since: string) => (await server.get(`/t?since=${since}`)).headers.get("msgbus-gap");
  assertEquals([await gapOf("0"), await gapOf("2"), await gapOf("3")], ["0-2;dropped", "2-2;dropped", null]);
  assertEquals([await gapOf("earliest"), await gapOf("last:5")], [null, null]);
  assertEquals([await gapOf("6"), await gapOf("3@abc")], ["-2;reset", "-2;reset"]);
  server.clock.tick(10_000);
  assertEquals([await gapOf("3"), await gapOf("5"), await gapOf("1")], ["3-4;expired", null, "1-4;dropped"]);
});

Deno.test("browse: the cursor of an earlier topic of the same name begins at the first message, and is told", async () => {
  await using server = direct();
  const { cursor } = server.bus.put("t", "a");
  await server.bus.delete("t");
  for (const payload of ["b", "c"]) server.bus.put("t", payload);
  const answer = await server.get(`/t?since=${cursor}`);
  assertEquals([idsOf(await answer.text()), answer.headers.get("msgbus-gap")], [[0, 1], "-;reset"]);
});

Deno.test("browse: a topic that does not exist is no_topic, and is not made", async () => {
  await using server = direct();
  for (const query of ["since=0", "since=latest", "since=0&format=raw"]) {
    const { status, headers } = await server.get(`/t?${query}`);
    assertEquals([status, headers.get("msgbus-error")], [404, "no_topic"]);
  }
  assertEquals(server.bus.topics(), []);
});

for (const since of ["latest", "2", "last:0"]) {
  Deno.test(`browse: wait is answered by the message that comes after ${since}`, async () => {
    await using server = direct();
    for (const payload of ["a", "b"]) server.bus.put("t", payload);
    const answer = server.get(`/t?since=${since}&wait=20s`);
    server.clock.flush();
    server.bus.put("t", "c");
    server.clock.flush();
    assertEquals(idsOf(await (await answer).text()), [2]);
    assertEquals((await answer).headers.get("msgbus-next"), server.bus.topic("t")!.cursor);
    assertEquals([server.bus.topic("t")!.pending, server.bus.totals().subscriptions], [3, 0]);
  });
}

Deno.test("browse: wait doesn't wait when there is something, or something to tell", async () => {
  await using server = direct({ ttlMs: 1000 });
  server.bus.put("t", "a");
  assertEquals(idsOf(await (await server.get("/t?since=0&wait=20s")).text()), [0]);
  server.clock.tick(1000);
  const answer = await server.get("/t?since=0&wait=20s");
  assertEquals([answer.status, answer.headers.get("msgbus-gap"), await answer.text()], [200, "0-0;expired", ""]);
});

Deno.test("browse: wait ends with an empty page when time is up, and not before", async () => {
  await using server = direct({ ttlMs: 0 });
  server.bus.put("t", "a");
  const { cursor } = server.bus.topic("t")!;
  let answered = false;
  const waiting = server.get("/t?since=latest&wait=20s").finally(() => answered = true);
  server.clock.tick(19_999);
  await settled();
  assertEquals(answered, false);
  server.clock.tick(1);
  const answer = await waiting;
  assertEquals([answer.status, answer.headers.get("msgbus-next"), await answer.text()], [200, cursor, ""]);
  assertEquals(server.bus.totals().subscriptions, 0);
});

Deno.test("browse: wait on a topic that does not exist waits for its first message, else it is no_topic", async () => {
  await using server = direct();
  for (const since of ["latest", "0", "earliest", "last:3"]) {
    const answer = server.get(`/t?since=${since}&wait=20s`);
    server.bus.put("t", "a");
    server.clock.flush();
    assertEquals(idsOf(await (await answer).text()), [0], since);
    await server.bus.delete("t");
  }
  const answer = server.get("/t?since=latest&wait=20s");
  server.clock.tick(20_000);
  assertEquals([(await answer).status, (await answer).headers.get("msgbus-error")], [404, "no_topic"]);
  assertEquals(server.bus.topics(), []);
});

Deno.test("browse: a client that leaves while it waits is forgotten", async () => {
  const [began, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using server = serve({}, { onWork: (change) => change === 1 ? began.resolve() : ended.resolve() });
  const connection = await Connection.open(server.port);
  await connection.write(server.request("GET /t?since=latest&wait=5m"));
  await began.promise;
  connection[Symbol.dispose]();
  await ended.promise;
});

Deno.test("browse: draining ends waiting at once", async () => {
  await using server = direct();
  server.bus.put("t", "a");
  const answer = server.get("/t?since=latest&wait=5m");
  server.bus.drain();
  assertEquals([(await answer).status, (await answer).headers.get("msgbus-error")], [503, "draining"]);
  const late = await server.get("/t?since=latest&wait=5m");
  assertEquals([late.status, late.headers.get("msgbus-error")], [503, "draining"]);
});

Deno.test("browse: a page of an allowed origin may read every header of the answer", async () => {
  await using server = direct({ maxMessages: 1 });
  for (const payload of ["a", "b"]) server.bus.put("t", payload);
  const headers = { origin: "http://localhost:5173" };
  for (const target of ["/t?since=0", "/t?since=0&format=raw", "/t", "/missing"]) {
    const answer = await server.get(target, headers);
    const exposed = answer.headers.get("access-control-expose-headers")!.split(", ");
    const own = [...answer.headers.keys()].filter((name) => name.startsWith("msgbus-"));
    assertEquals(own.filter((name) => !exposed.includes(name)), [], target);
  }
});

Deno.test("browse: a large page is written as the client reads it, and is whole", async () => {
  await using server = direct({ maxTopicBytes: 64 * 1024 ** 2 });
  for (let i = 0; i < 40; i++) server.bus.put("t", new Uint8Array(100_000).fill(i));
  const answer = await server.get("/t?since=earliest");
  const chunks: string[] = [];
  for await (const chunk of answer.body!) chunks.push(new TextDecoder().decode(chunk));
  assertEquals([chunks.length, chunks[0]!.split("\n").length], [40, 2]);
  const rest = chunks.join("");
  assertEquals(rest.trimEnd().split("\n").map((line) => JSON.parse(line).id), Array.from({ length: 40 }, (_, i) => i));
});
