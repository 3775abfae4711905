/**
 * Groups and leases over HTTP.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "../deps.ts";
import { TestClock } from "../bus/test_clock.ts";
import { direct, settled } from "./direct.ts";
import { type Answer, serve, type Serving } from "./serving.ts";
import { idsOf } from "./streams.ts";

const texts = ({ body }: Answer) =>
  body.trimEnd().split("\n").filter((line) => line !== "").map((line) => atob(JSON.parse(line).payload));

async function served(...payloads: string[]) {
  const clock = new TestClock();
  const server = serve({ clock, ttlMs: 0, maxAttempts: 2 });
  for (const payload of payloads) await server.ask("PUT /t", {}, payload);
  return { clock, server };
}

const leaseOf = async (server: Serving, target = "/t?group=g&lease=10s") =>
  (await server.ask(`GET ${target}`)).headers.get("msgbus-lease")!;

Deno.test("group: each group gets every message, its pullers share, and the queue is the group without a name", async () => {
  const { server } = await served("a", "b");
  await using _ = server;
  assertEquals(texts(await server.ask("GET /t?group=g")), ["a"]);
  assertEquals(texts(await server.ask("GET /t?group=g")), ["b"]);
  assertEquals((await server.ask("GET /t?group=g")).error, "empty");
  assertEquals(texts(await server.ask("GET /t?group=h&limit=10")), ["a", "b"]);
  assertEquals(texts(await server.ask("GET /t?group=")), ["a"]);
  assertEquals(texts(await server.ask("GET /t")), ["b"]);
});

Deno.test("group: from says where a new one begins", async () => {
  const { server } = await served("a", "b", "c");
  await using _ = server;
  const { epoch } = (await server.bus.browse("t"))!.messages[0]!.topic;
  assertEquals((await server.ask("GET /t?group=new&from=latest")).error, "empty");
  assertEquals(texts(await server.ask("GET /t?group=last&from=last:1")), ["c"]);
  assertEquals(texts(await server.ask(`GET /t?group=at&from=1@${epoch}`)), ["b"]);
  assertEquals(texts(await server.ask("GET /t?group=time&from=2018-03-25T15:18:38.732+02:00")), ["a"]);
  const reset = await server.ask("GET /t?group=reset&from=1@0");
  assertEquals([texts(reset), reset.headers.get("msgbus-gap")], [["a"], "-;reset"]);
});

Deno.test("lease: the envelope has attempt and lease at its end, headers have them too, and ack ends it", async () => {
  const { server, clock } = await served("a");
  await using _ = server;
  const { headers, body } = await server.ask("GET /t?group=g&lease=10s");
  const token = headers.get("msgbus-lease")!;
  assertMatch(body.trimEnd(), new RegExp(`"created":"[^"]*","attempt":1,"lease":"${token}"}$`));
  assertEquals(headers.get("msgbus-attempt"), "1");
  clock.tick(10_000);
  const again = await server.ask("GET /t?group=g&lease=10s&format=raw");
  const second = again.headers.get("msgbus-lease")!;
  assertEquals([again.body, again.headers.get("msgbus-attempt"), second === token], ["a", "2", false]);
  const { status, body: answer } = await server.ask("POST /-/ack", {}, `${token},${second}`);
  assertEquals([status, JSON.parse(answer)], [200, { done: [second], unknown: [token] }]);
});

Deno.test("lease: tokens come as a JSON array, or separated by white space or commas", async () => {
  const { server } = await served("a", "b", "c", "d", "e", "f");
  await using _ = server;
  const { body } = await server.ask("GET /t?lease=10s&limit=6");
  const [a, b, c, d, e, f] = body.trimEnd().split("\n").map((line) => JSON.parse(line).lease);
  for (const given of [JSON.stringify([a, b]), ` ${c}\r\n${d} `, `${e},${f},`]) {
    const { done, unknown } = JSON.parse((await server.ask("POST /-/ack", {}, given)).body);
    assertEquals([done.length, unknown.length], [2, 0], given);
  }
});

Deno.test("lease: a pull acknowledges with ack what came before, whatever it gives", async () => {
  const { server, clock } = await served("a", "b");
  await using _ = server;
  const a = await leaseOf(server);
  const next = await server.ask(`GET /t?group=g&lease=10s&ack=${a},no%20such%0a,token`);
  assertEquals([texts(next), next.headers.get("msgbus-unknown")], [["b"], "no,such,token"]);
  const last = await server.ask(`GET /t?group=g&lease=10s&ack=${next.headers.get("msgbus-lease")}`);
  assertEquals([last.error, last.headers.get("msgbus-unknown")], ["empty", null]);
  clock.tick(60_000);
  assertEquals((await server.ask("GET /t?group=g")).error, "empty");
  assertEquals((await server.ask(`GET /t?since=0&ack=${a}`)).error, "bad_parameter");
});

Deno.test("lease: what are no tokens is refused, and changes nothing", async () => {
  const { server } = await served("a");
  await using _ = server;
  await leaseOf(server);
  const hostile = [
    "",
    " ",
    ",",
    "[]",
    "{}",
    `{"ack":["a"]}`,
    "[1]",
    '["a"',
    "[[]]",
    '[{"a":1}]',
    new Uint8Array([0xff]),
    "[".repeat(100_000),
  ];
  for (const body of hostile) {
    for (const endpoint of ["ack", "nack", "extend"]) {
      assertEquals((await server.ask(`POST /-/${endpoint}`, {}, body)).error, "bad_request", String(body).slice(0, 20));
    }
  }
  assertEquals((await server.ask("POST /-/ack", {}, "x ".repeat(600_000))).error, "too_large");
  assertEquals((await server.ask("POST /-/ack", {}, "x ".repeat(10_001))).error, "bad_request");
  assertEquals(JSON.parse((await server.ask("POST /-/ack", {}, "__proto__")).body).unknown, ["__proto__"]);
  assertEquals((await server.ask("GET /-/ack")).status, 405);
});

Deno.test("nack: hands back, at once or after a delay, with a reason, counted or not", async () => {
  const { server, clock } = await served("a");
  await using _ = server;
  const nack = async (query: string) => (await server.ask(`POST /-/nack${query}`, {}, await leaseOf(server))).status;
  assertEquals(await nack("?count=false"), 200);
  assertEquals(await nack("?delay=5s&count=false"), 200);
  assertEquals((await server.ask("GET /t?group=g")).error, "empty");
  clock.tick(5000);
  assertEquals(await nack("?reason=it+broke"), 200);
  assertEquals(await nack("?reason=again"), 200);
  const letter = JSON.parse((await server.ask("GET /t/-dead")).body);
  assertEquals([letter.headers["msgbus-dead-reason"], letter.headers["msgbus-dead-attempts"]], ["again", "2"]);
  assertEquals((await server.ask("PUT /t/-dead", {}, "forged")).error, "reserved");
});

Deno.test("redrive: publishes dead letters to their topic again", async () => {
  const { server } = await served("a", "b");
  await using _ = server;
  for (let i = 0; i < 4; i++) await server.ask("POST /-/nack", {}, await leaseOf(server));
  assertEquals((await server.ask("POST /-/redrive?topic=t&group=h")).body, '{"redriven":0,"remaining":0}\n');
  assertEquals((await server.ask("POST /-/redrive?topic=t&group=g")).body, '{"redriven":2,"remaining":0}\n');
  assertEquals((await server.ask("GET /t/-dead")).error, "empty");
  assertEquals(texts(await server.ask("GET /t?group=g&limit=9")), ["a", "b"]);
  assertEquals((await server.ask("POST /-/redrive?topic=missing")).error, "no_topic");
  assertEquals((await server.ask("POST /-/redrive")).error, "bad_parameter");
});

Deno.test("extend: makes a lease last", async () => {
  const { server, clock } = await served("a");
  await using _ = server;
  const token = await leaseOf(server);
  clock.tick(9000);
  assertEquals(JSON.parse((await server.ask("POST /-/extend?lease=1m", {}, token)).body).done, [token]);
  clock.tick(59_999);
  assertEquals((await server.ask("GET /t?group=g")).error, "empty");
  clock.tick(1);
  assertEquals(texts(await server.ask("GET /t?group=g")), ["a"]);
});

Deno.test("groups: lists what each has and has not done, in JSON, and forgets one", async () => {
  const { server, clock } = await served("a", "b", "c");
  await using _ = server;
  await leaseOf(server);
  clock.tick(1500);
  const { body, headers } = await server.ask("GET /-/groups?topic=t");
  const [queue, group] = JSON.parse(body);
  assertEquals(headers.get("content-type"), "application/json");
  assertEquals([queue.group, queue.lag, queue.leased, "warning" in queue], ["", 3, 0, false]);
  const { epoch } = (await server.bus.browse("t"))!.messages[0]!.topic;
  assertEquals(group, {
    topic: "t",
    group: "g",
    cursor: `0@${epoch}`,
    lag: 2,
    leased: 1,
    waiting: 0,
    blocked: 0,
    attempts: 1,
    acked: 0,
    dead: 0,
    lost: 0,
    waiters: 0,
    idleMs: 1500,
    oldestUnackedMs: 1500,
  });
  assertEquals(JSON.parse((await server.ask("GET /-/groups")).body).map(({ group }: { group: string }) => group), [
    "g",
  ]);
  assertEquals((await server.ask("GET /-/groups?topic=missing")).error, "no_topic");
  assertEquals((await server.ask("DELETE /-/groups?topic=t&group=g")).status, 204);
  assertEquals((await server.ask("DELETE /-/groups?topic=t&group=g")).error, "no_group");
  assertEquals((await server.ask("DELETE /-/groups?topic=t&group=")).error, "bad_group");
  assertEquals((await server.ask("DELETE /-/groups?topic=t")).error, "bad_parameter");
});

Deno.test("groups: warns when messages could expire before their last attempt, and tells null where nothing waits", async () => {
  await using server = serve({ ttlMs: 60_000 });
  await server.ask("PUT /t", {}, "a");
  const token = await leaseOf(server, "/t?group=g&lease=30s");
  await server.ask("POST /-/ack", {}, token);
  const [, group] = JSON.parse((await server.ask("GET /-/groups?topic=t")).body);
  assertMatch(group.warning, /^messages are kept for 1m, less than lease x max-attempts \(30s x 5\)/);
  assertEquals(group.oldestUnackedMs, null);
});

Deno.test("group: what doesn't fit is refused before anything is taken", async () => {
  const { server } = await served("a");
  await using _ = server;
  const wrong: Readonly<Record<string, string>> = {
    "group=a/b": "bad_group",
    "group=-a": "bad_group",
    "group=a%00": "bad_group",
    [`group=${"x".repeat(129)}`]: "bad_group",
    "group=a&group=b": "bad_parameter",
    "lease=0": "bad_parameter",
    "lease=999ms": "bad_parameter",
    "lease=13h": "bad_parameter",
    "lease=": "bad_parameter",
    "lease=30s&since=0": "bad_parameter",
    "group=g&since=0": "bad_parameter",
    "group=g&format=sse": "bad_parameter",
    "group=g&format=ndjson": "bad_parameter",
    "lease=30s&format=sse": "bad_parameter",
    "from=earliest": "bad_parameter",
    "group=g&from=never": "bad_cursor",
    "group=g&from=1&from=2": "bad_parameter",
    "groups=g": "unknown_parameter",
  };
  for (const [query, code] of Object.entries(wrong)) {
    assertEquals((await server.ask(`GET /t?${query}`)).error, code, query);
  }
  assertEquals((await server.ask("GET /t,u?group=g")).error, "bad_topic");
  for (const query of ["delay=-1s", "delay=13h", "delay=x", "count=no", "count="]) {
    assertEquals((await server.ask(`POST /-/nack?${query}`, {}, "x")).error, "bad_parameter", query);
  }
  assertEquals((await server.ask("POST /-/extend?lease=1ms", {}, "x")).error, "bad_parameter");
  assertEquals(server.bus.groups("t").map(({ group, acked }) => [group, acked]), [["", 0]]);
});

Deno.test("group: a full one answers 429 and when to come again", async () => {
  await using server = serve({ maxLeased: 1 });
  for (const payload of ["a", "b"]) await server.ask("PUT /t", {}, payload);
  await leaseOf(server);
  const { status, error, headers } = await server.ask("GET /t?group=g&lease=10s&wait=20s");
  assertEquals([status, error, headers.get("retry-after")], [429, "too_many_leased", "1"]);
});

Deno.test("group: a client that leaves while it waits has leased nothing", async () => {
  await using it = direct({ ttlMs: 0 });
  const gone = new AbortController();
  const first = it.get("/t?group=g&lease=10s&wait=1m", {}, gone.signal);
  const second = it.get("/t?group=g&lease=10s&wait=1m");
  await settled();
  gone.abort();
  await first;
  it.bus.put("t", "a");
  it.clock.flush();
  assertEquals(JSON.parse(await (await second).text()).attempt, 1);
});

Deno.test("group: a long poll gets what another hands back, lets a lease end, or frees the key of", async () => {
  await using it = direct({ ttlMs: 0 });
  for (const payload of ["a", "b"]) it.bus.put("t", payload, { key: "k" });
  const { lease = "" } = it.bus.get("t", { group: "g", leaseMs: 10_000 })!;
  const poll = async () => {
    const answer = it.get("/t?group=g&lease=1h&wait=1m");
    await settled();
    return async () => JSON.parse(await (await answer).text());
  };
  const handedBack = await poll();
  it.bus.nack(lease, { count: false });
  it.clock.flush();
  const a = await handedBack();
  assertEquals([a.id, a.attempt], [0, 1]);
  const freed = await poll();
  it.bus.ack(a.lease);
  it.clock.flush();
  const b = await freed();
  assertEquals([b.id, b.attempt], [1, 1]);
  const ended = await poll();
  it.bus.extend(b.lease, 1000);
  it.clock.tick(1020);
  it.clock.flush();
  assertEquals((await ended()).attempt, 2);
});

Deno.test("group: names that JavaScript objects have are names like any other", async () => {
  const { server } = await served("a");
  await using _ = server;
  for (const group of ["__proto__", "constructor", "toString"]) {
    assertEquals(texts(await server.ask(`GET /t?group=${group}`)), ["a"]);
    assertEquals((await server.ask(`DELETE /-/groups?topic=t&group=${group}`)).status, 204);
  }
  assert(!("polluted" in {}));
});

Deno.test("group: pulls of several messages are leases of each", async () => {
  const { server } = await served("a", "b", "c");
  await using _ = server;
  const { body } = await server.ask("GET /t?group=g&lease=10s&limit=2");
  const leased = body.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(idsOf(body), [0, 1]);
  assertEquals(new Set(leased.map(({ lease }) => lease)).size, 2);
  assertEquals(texts(await server.ask("GET /t?group=g&lease=10s&limit=2")), ["c"]);
});
