/**
 * Which of its readings a GET on a topic is, and what doesn't go together.
 *
 * @module
 */

import { assertEquals } from "../deps.ts";
import { type Direct, direct } from "./direct.ts";
import { HANDSHAKE, serve } from "./serving.ts";

const SSE = "text/event-stream";
const NDJSON = "application/x-ndjson";

/** A GET, what it is, and how many of three messages it takes. */
const READINGS: readonly (readonly [target: string, accept: string | undefined, kind: string, taken: number])[] = [
  // Rule 2: format
  ["/t?format=sse", undefined, "stream of SSE", 0],
  ["/t?format=ndjson", undefined, "stream of NDJSON", 0],
  ["/t?format=ndjson", SSE, "stream of NDJSON", 0],
  ["/t?format=sse", NDJSON, "stream of SSE", 0],
  ["/t?format=sse", "application/json", "stream of SSE", 0],
  ["/t?format=sse&since=0", undefined, "stream of SSE", 0],
  ["/t?since=0&format=ndjson", undefined, "stream of NDJSON", 0],
  ["/t?format=raw", undefined, "pull of a payload", 1],
  ["/t?format=raw", SSE, "pull of a payload", 1],
  ["/t?format=raw&wait=1s", NDJSON, "pull of a payload", 1],
  ["/t?format=raw&since=0", SSE, "browse of a payload", 0],
  // Rule 3: what a pull has
  ["/t?limit=2", undefined, "pull of lines", 2],
  ["/t?limit=2", SSE, "pull of lines", 2],
  ["/t?limit=2", NDJSON, "pull of lines", 2],
  ["/t?wait=1s", SSE, "pull of an envelope", 1],
  ["/t?wait=0", NDJSON, "pull of an envelope", 1],
  ["/t?wait=1s&limit=5", SSE, "pull of lines", 3],
  ["/t?since=0&limit=2", SSE, "browse", 0],
  ["/t?since=0&wait=1s", NDJSON, "browse", 0],
  // Rule 4: Accept
  ["/t", SSE, "stream of SSE", 0],
  ["/t", NDJSON, "stream of NDJSON", 0],
  ["/t", "Text/Event-Stream", "stream of SSE", 0],
  ["/t", "text/event-stream;q=0.9", "stream of SSE", 0],
  ["/t", "text/event-stream ; charset=utf-8; q=0.9", "stream of SSE", 0],
  ["/t", "application/json, text/event-stream;q=0.1, */*", "stream of SSE", 0],
  ["/t", "*/*,application/x-ndjson", "stream of NDJSON", 0],
  ["/t?since=0", SSE, "stream of SSE", 0],
  ["/t?index=0", SSE, "stream of SSE", 0],
  ["/t?since=latest", NDJSON, "stream of NDJSON", 0],
  ["/t?", SSE, "stream of SSE", 0],
  // Rule 6: since
  ["/t?since=0", undefined, "browse", 0],
  ["/t?since=0", "*/*", "browse", 0],
  ["/t?index=2", undefined, "browse", 0],
  ["/t?since=latest", "application/json", "browse", 0],
  // Rule 7: everything else
  ["/t", undefined, "pull of an envelope", 1],
  ["/t?", undefined, "pull of an envelope", 1],
  ["/t", "*/*", "pull of an envelope", 1],
  ["/t", "text/*", "pull of an envelope", 1],
  ["/t", "application/*;q=0.5, */*;q=0.1", "pull of an envelope", 1],
  ["/t", "text/event-stream;q=0, application/x-ndjson;q=0.000", "pull of an envelope", 1],
  ["/t", "application/json", "pull of an envelope", 1],
  ["/t", "", "pull of an envelope", 1],
  ["/t", "text/event-stream-of-mine", "pull of an envelope", 1],
  ["/t", 'text/plain;note="text/event-stream"', "pull of an envelope", 1],
];

for (const [target, accept, kind, taken] of READINGS) {
  const named = accept === undefined ? "" : ` with Accept: ${accept}`;
  Deno.test(`read: GET ${target}${named} is a ${kind}`, async () => {
    await using server = filled();
    const answer = await server.get(target, accept === undefined ? {} : { accept });
    assertEquals([kindOf(answer), 3 - server.bus.topic("t")!.pending], [kind, taken]);
    await answer.body?.cancel();
  });
}

/** What is refused, with the code. */
const REFUSED: readonly (readonly [target: string, accept: string | undefined, code: string])[] = [
  // what doesn't go together
  ["/t?format=sse&limit=1", undefined, "bad_parameter"],
  ["/t?format=ndjson&limit=1", undefined, "bad_parameter"],
  ["/t?format=sse&wait=1s", SSE, "bad_parameter"],
  ["/t?format=ndjson&wait=1s&since=0", undefined, "bad_parameter"],
  ["/t?format=raw&limit=1", undefined, "bad_parameter"],
  ["/t?format=raw&limit=1&since=0", undefined, "bad_parameter"],
  ["/t?since=0&index=0", undefined, "bad_parameter"],
  ["/t?since=0&index=0", SSE, "bad_parameter"],
  ["/t?frames=ndjson", undefined, "bad_parameter"],
  ["/t?mode=publish", undefined, "bad_parameter"],
  ["/t?mode=subscribe", SSE, "bad_parameter"],
  ["/t?format=sse&frames=ndjson", undefined, "bad_parameter"],
  ["/t?since=0&frames=ndjson", undefined, "bad_parameter"],
  // wrong values
  ["/t?format=xml", undefined, "bad_parameter"],
  ["/t?format=SSE", undefined, "bad_parameter"],
  ["/t?format=", SSE, "bad_parameter"],
  ["/t?limit=", undefined, "bad_parameter"],
  ["/t?limit=0", undefined, "bad_parameter"],
  ["/t?limit=-1", undefined, "bad_parameter"],
  ["/t?limit=+1", undefined, "bad_parameter"],
  ["/t?limit=01", undefined, "bad_parameter"],
  ["/t?limit=1.5", undefined, "bad_parameter"],
  ["/t?limit=1e2", undefined, "bad_parameter"],
  ["/t?limit=0x10", undefined, "bad_parameter"],
  ["/t?limit=NaN", undefined, "bad_parameter"],
  ["/t?limit=1001", undefined, "bad_parameter"],
  ["/t?limit=99999999999999999999", undefined, "bad_parameter"],
  ["/t?since=0&limit=0", undefined, "bad_parameter"],
  ["/t?since=0&limit=10001", undefined, "bad_parameter"],
  ["/t?wait=", undefined, "bad_parameter"],
  ["/t?wait=-1s", undefined, "bad_parameter"],
  ["/t?wait=1.5s", undefined, "bad_parameter"],
  ["/t?wait=forever", undefined, "bad_parameter"],
  ["/t?wait=Infinity", undefined, "bad_parameter"],
  ["/t?wait=6m", undefined, "bad_parameter"],
  ["/t?wait=301", undefined, "bad_parameter"],
  ["/t?wait=300001ms", undefined, "bad_parameter"],
  ["/t?since=0&wait=301s", undefined, "bad_parameter"],
  ["/t?since=", undefined, "bad_cursor"],
  ["/t?since", undefined, "bad_cursor"],
  ["/t?since=-1", undefined, "bad_cursor"],
  ["/t?since=newest", undefined, "bad_cursor"],
  ["/t?since=9007199254740993", undefined, "bad_cursor"],
  ["/t?since=1%00", undefined, "bad_cursor"],
  ["/t?since=2018-03-25T13:18:38", undefined, "bad_cursor"],
  ["/t?since=2018-02-30T99:00:00Z", undefined, "bad_cursor"],
  ["/t?index=x", SSE, "bad_cursor"],
  ["/t?since=x&format=sse", undefined, "bad_cursor"],
  // not known, or given twice
  ["/t?x=1", undefined, "unknown_parameter"],
  ["/t?x=1", SSE, "unknown_parameter"],
  ["/t?Since=0", undefined, "unknown_parameter"],
  ["/t?split=lines", undefined, "unknown_parameter"],
  ["/t?limit=1&x=1", undefined, "unknown_parameter"],
  ["/t?since=0&since=0", undefined, "bad_parameter"],
  ["/t?limit=1&limit=2", undefined, "bad_parameter"],
  ["/t?format=sse&format=sse", undefined, "bad_parameter"],
  ["/t?wait=1s&%77ait=1s", undefined, "bad_parameter"],
  // several topics, but no subscription
  ["/t,u", undefined, "bad_topic"],
  ["/t%2Cu", undefined, "bad_topic"],
  ["/t,u?limit=1", SSE, "bad_topic"],
  ["/t,u?since=0", undefined, "bad_topic"],
  ["/t,u?format=raw", undefined, "bad_topic"],
  ["/*", undefined, "bad_topic"],
  ["/**", undefined, "bad_topic"],
  ["/t/*", "*/*", "bad_topic"],
  ["/%2A?wait=1s", SSE, "bad_topic"],
  ["/**?since=0&limit=1", NDJSON, "bad_topic"],
  // patterns that are none
  ["/t*", SSE, "bad_topic"],
  ["/**/t", SSE, "bad_topic"],
  ["/t,,u", SSE, "bad_topic"],
  ["/t,", SSE, "bad_topic"],
  [`/${"t,".repeat(64)}t`, SSE, "bad_topic"],
  ["/t,u?since=0", SSE, "bad_cursor"], // an id of which?
  ["/*?since=1@abc", SSE, "bad_cursor"],
];

for (const [target, accept, code] of REFUSED) {
  const named = accept === undefined ? "" : ` with Accept: ${accept}`;
  Deno.test(`read: GET ${target.slice(0, 60)}${named} is ${code}, and nothing is taken`, async () => {
    await using server = filled();
    const { status, headers } = await server.get(target, accept === undefined ? {} : { accept });
    assertEquals([status, headers.get("msgbus-error")], [400, code]);
    assertEquals([server.bus.topic("t")!.pending, server.subscribed.length], [3, 0]);
  });
}

for (const limit of ["1", "999", "1000"]) {
  Deno.test(`read: a pull may have limit=${limit}`, async () => {
    await using server = filled();
    assertEquals((await server.get(`/t?limit=${limit}`)).status, 200);
  });
}

for (const wait of ["0", "300", "300s", "5m", "300000ms"]) {
  Deno.test(`read: a pull may have wait=${wait}`, async () => {
    await using server = filled();
    assertEquals((await server.get(`/t?wait=${wait}`)).status, 200);
  });
}

for (const target of ["/t,u", "/*", "/**", "/t/*", "/t/**,u", "/t/-dead", "/%2A", "/t%2Cu"]) {
  Deno.test(`read: GET ${target} may be subscribed to`, async () => {
    await using server = filled();
    for (
      const [query, accept] of [["", SSE], ["", NDJSON], ["?format=sse", "*/*"], ["?since=earliest", SSE]] as const
    ) {
      const answer = await server.get(target + query, { accept });
      assertEquals(kindOf(answer).slice(0, 9), "stream of");
      await answer.body!.cancel();
    }
    assertEquals(server.subscribed.length, 4);
  });
}

/** Values of Last-Event-ID, and the ids of three retained messages that follow. */
const RESUMED: readonly (readonly [id: string, ids: readonly number[], gap: string | undefined])[] = [
  ["0", [0, 1, 2], undefined],
  ["2", [2], undefined],
  ["3", [], undefined],
  ["4", [0, 1, 2], "reset"],
  ["9007199254740991", [0, 1, 2], "reset"],
  ["1@abc", [0, 1, 2], "reset"],
  ["3@zzzzzzzzzzz", [0, 1, 2], "reset"],
];

for (const [id, ids, gap] of RESUMED) {
  Deno.test(`read: Last-Event-ID ${id} resumes a stream${gap ? " after a gap" : ""} and beats since`, async () => {
    await using server = filled();
    for (const query of ["", "&since=latest", "&since=1", "&index=0"]) {
      const stream = await server.stream(`/t?format=ndjson${query}`, { "last-event-id": id });
      server.clock.flush();
      const lines = (await stream.text()).trimEnd().split("\n").map((line) => JSON.parse(line));
      assertEquals(lines.filter(({ event }) => event === undefined).map(({ id }) => id), [...ids]);
      assertEquals(lines.find(({ event }) => event === "gap")?.reason, gap);
      await stream.cancel();
    }
  });
}

Deno.test("read: the cursor of another topic as Last-Event-ID is a reset", async () => {
  await using server = filled();
  server.clock.tick(1);
  const { cursor } = server.bus.put("u", "x");
  const stream = await server.stream("/t", { accept: NDJSON, "last-event-id": cursor });
  server.clock.flush();
  assertEquals(JSON.parse((await stream.text()).split("\n")[0]!).reason, "reset");
  await stream.cancel();
});

for (
  const id of ["", "../", "x".repeat(1024), "1".repeat(1024), "-1", "1@", "1@ABC", "01", "9007199254740992", "latest"]
    .concat("last:1", "10m", "2018-03-25T13:18:38Z", "T", "T-1", "1,2", "\u00e9")
) {
  Deno.test(`read: Last-Event-ID ${JSON.stringify(id.slice(0, 30))} is bad_cursor, whatever since says`, async () => {
    await using server = filled();
    for (const query of ["", "&since=0"]) {
      const { status, headers } = await server.get(`/t?format=sse${query}`, { "last-event-id": id });
      assertEquals([status, headers.get("msgbus-error")], [400, "bad_cursor"]);
    }
    assertEquals(server.subscribed.length, 0);
  });
}

Deno.test("read: a NUL in Last-Event-ID never reaches a stream", async () => {
  await using server = serve();
  const [answer] = await server.raw(server.request("GET /t?format=sse", { "last-event-id": "1\0" }));
  assertEquals(answer!.status, 400);
  assertEquals(server.bus.totals().subscriptions, 0);
});

/** Upgrades with other things beside: rule 1. */
const UPGRADES: readonly (readonly [target: string, accept: string | undefined, code: string | null])[] = [
  ["/t", SSE, null],
  ["/t", "*/*", null],
  ["/t?since=0", NDJSON, null],
  ["/t?index=0", undefined, null],
  ["/t?mode=subscribe", undefined, null],
  ["/t?mode=publish", SSE, null],
  ["/t?frames=ndjson&since=last:1", undefined, null],
  ["/t?mode=publish&frames=ndjson", undefined, null],
  ["/t,u", undefined, null],
  ["/*", undefined, null],
  ["/**?since=earliest", undefined, null],
  ["/t?format=sse", undefined, "bad_parameter"],
  ["/t?format=raw", undefined, "bad_parameter"],
  ["/t?limit=1", undefined, "bad_parameter"],
  ["/t?wait=1s", undefined, "bad_parameter"],
  ["/t?mode=publish&since=0", undefined, "bad_parameter"],
  ["/t?mode=publish&index=0", undefined, "bad_parameter"],
  ["/t?mode=both", undefined, "bad_parameter"],
  ["/t?mode=", undefined, "bad_parameter"],
  ["/t?frames=plain", undefined, "bad_parameter"],
  ["/t?frames=", undefined, "bad_parameter"],
  ["/t?since=x", undefined, "bad_cursor"],
  ["/t?since=0&index=0", undefined, "bad_parameter"],
  ["/t?frames=ndjson&frames=ndjson", undefined, "bad_parameter"],
  ["/t,u?mode=publish", undefined, "bad_topic"],
  ["/*?mode=publish", undefined, "bad_topic"],
  ["/t,u?since=0", undefined, "bad_cursor"],
];

for (const [target, accept, code] of UPGRADES) {
  const named = accept === undefined ? "" : ` with Accept: ${accept}`;
  Deno.test(`read: GET ${target}${named} and an Upgrade is ${code ?? "a WebSocket"}`, async () => {
    await using server = serve();
    for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
    const { status, error } = await server.ask(`GET ${target}`, { ...HANDSHAKE, accept });
    assertEquals([status, error], [code === null ? 101 : 400, code]);
    assertEquals(server.bus.topic("t")!.pending, 3);
  });
}

Deno.test("read: an Upgrade to something else is no WebSocket", async () => {
  await using server = serve();
  server.bus.put("t", "a");
  const { status } = await server.ask("GET /t", { connection: "Upgrade", upgrade: "h2c" });
  assertEquals(status, 200);
});

for (const method of ["PUT", "POST", "HEAD", "DELETE"]) {
  Deno.test(`read: ${method} on several topics is bad_topic`, async () => {
    await using server = serve();
    server.bus.put("t", "a");
    for (const path of ["/t,u", "/t/*", "/**"]) {
      const { status, error } = await server.ask(`${method} ${path}`, { accept: SSE });
      assertEquals([status, error], [400, "bad_topic"], path);
    }
    assertEquals(server.bus.topic("t")!.pending, 1);
  });
}

function filled(): Direct {
  const server = direct();
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  server.clock.tick(1);
  return server;
}

/** What an answer says it is. */
function kindOf({ status, headers }: Response): string {
  if (status !== 200) return `${status} ${headers.get("msgbus-error")}`;
  const type = headers.get("content-type");
  if (type === SSE) return "stream of SSE";
  if (headers.has("x-accel-buffering")) return "stream of NDJSON";
  const kind = headers.has("msgbus-next") ? "browse" : "pull";
  if (type === "application/octet-stream") return `${kind} of a payload`;
  if (type === "application/json") return `${kind} of an envelope`;
  return kind === "browse" ? kind : `${kind} of lines`;
}

Deno.test("GET of a topic by a browser shows the last messages as text, and takes none", async () => {
  await using server = direct();
  for (const payload of ["a", "b"]) server.bus.put("t", payload);
  const accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  const answer = await server.get("/t", { accept });
  assertEquals([answer.status, answer.headers.get("content-type")], [200, "text/plain; charset=utf-8"]);
  assertEquals((await answer.text()).trimEnd().split("\n").map((line) => JSON.parse(line).id), [0, 1]);
  assertEquals(server.bus.topic("t")!.pending, 2);
});
