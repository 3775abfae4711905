import { Client } from "../../lib/client/client.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../deps.ts";
import { directBus } from "./direct_bus.ts";
import { serve, serveBus, unusedUri } from "./local_server.ts";

async function rejected(promise: Promise<unknown>, code: ErrorCode): Promise<BusError> {
  const error = await assertRejects(() => promise, BusError);
  assertEquals(error.code, code, error.message);
  return error;
}

Deno.test("Client.pull takes for a group, which begins where it is told", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  for (const text of ["a", "b"]) server.bus.put("foo", text);
  assertEquals((await client.pull("foo", { group: "g" }))!.text(), "a");
  assertStrictEquals(await client.pull("foo", { group: "late", from: "latest" }), undefined);
  assertEquals((await client.pull("foo", { group: "one", from: "last:1" }))!.text(), "b");
  assertEquals((await client.pull("foo", { group: "g", from: "earliest" }))!.text(), "b");
  assertEquals((await client.pull("foo", { group: "" }))!.text(), "a");
});

Deno.test("Client.pull leases a message, and Client.ack is done with it", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  server.bus.put("foo", "a");
  const message = (await client.pull("foo", { leaseMs: 1_000 }))!;
  assertEquals(message.attempt, 1);
  assert(message.lease);
  assertEquals(await client.ack(message.lease), { done: [message.lease], unknown: [] });
  assertEquals(await client.ack([message.lease]), { done: [], unknown: [message.lease] });
  assertEquals((await client.groups("foo"))[0]!.acked, 1);
});

Deno.test("Client.pullBatch leases several messages for a group", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const { messages } = await client.pullBatch("foo", { group: "g", leaseMs: 60_000, limit: 2, waitMs: 1_000 });
  assertEquals(messages.map((message) => [message.text(), message.attempt]), [["a", 1], ["b", 1]]);
  assertEquals(new Set(messages.map((message) => message.lease)).size, 2);
});

Deno.test("Client.nack hands back: at once or later, counted or not, and says why", async () => {
  await using direct = directBus({ maxAttempts: 2 });
  const { client, clock } = direct;
  direct.bus.put("foo", "a");
  const lease = async () => (await client.pull("foo", { group: "g", leaseMs: 60_000 }))!;
  const first = await lease();
  assertEquals(await client.nack(first.lease!, { count: false }), { done: [first.lease!], unknown: [] });
  const second = await lease();
  assertEquals(second.attempt, 1);
  await client.nack([second.lease!], { delayMs: 5_000 });
  assertStrictEquals(await client.pull("foo", { group: "g", leaseMs: 60_000 }), undefined);
  clock.tick(5_020);
  const third = await lease();
  assertEquals(third.attempt, 2);
  await client.nack(third.lease!, { reason: "Grüße & 100 %" });
  const dead = (await client.pull("foo/-dead", { waitMs: 1_000 }))!;
  assertEquals([dead.text(), dead.headers["msgbus-dead-reason"]], ["a", "Grüße & 100 %"]);
});

Deno.test("Client.extend makes a lease last for longer", async () => {
  await using direct = directBus();
  const { client, clock } = direct;
  direct.bus.put("foo", "a");
  const { lease } = (await client.pull("foo", { leaseMs: 10_000 }))!;
  clock.tick(9_000);
  assertEquals(await client.extend(lease!), { done: [lease!], unknown: [] });
  clock.tick(9_000);
  await client.extend([lease!], { leaseMs: 60_000 });
  clock.tick(59_000);
  assertStrictEquals(await client.pull("foo"), undefined);
  clock.tick(1_020);
  assertEquals((await client.pull("foo"))!.attempt, 2);
});

Deno.test("Client settles more leases than one request should have, and none without a request", async () => {
  const asked: number[] = [];
  const client = new Client("http://bus.example", {
    async fetch(_url, init) {
      const tokens = await new Response(init.body).json();
      asked.push(tokens.length);
      return Response.json({ done: tokens.slice(1), unknown: tokens.slice(0, 1) });
    },
  });
  const tokens = Array.from({ length: 2_500 }, (_, index) => `token${index}`);
  const { done, unknown } = await client.ack(tokens);
  assertEquals([asked, done.length, unknown], [[1000, 1000, 500], 2_497, ["token0", "token1000", "token2000"]]);
  assertEquals(await client.ack([]), { done: [], unknown: [] });
  assertEquals(asked.length, 3);
});

Deno.test("Client.groups tells what the bus tells, and nothing of a missing topic", async () => {
  await using direct = directBus({ ttlMs: 60_000 });
  const { bus, client, clock } = direct;
  for (const text of ["a", "b", "c"]) bus.put("foo/ü", text);
  bus.get("foo/ü", { group: "g", leaseMs: 30_000 });
  bus.put("bar", "x");
  clock.tick(1_000);
  const groups = await client.groups("/foo/ü/");
  assertEquals(groups, bus.groups("foo/ü"));
  const [queue, group] = groups;
  assertEquals([queue!.group, queue!.oldestUnackedMs, queue!.warning], ["", 1_000, undefined]);
  assertEquals([group!.group, group!.leased, group!.lag], ["g", 1, 2]);
  assert(group!.warning?.includes("max-attempts"));
  assertEquals((await client.groups()).map(({ topic, group }) => [topic, group]), [["foo/ü", "g"]]);
  assertEquals(await client.groups("none"), []);
  bus.get("bar");
  const idle = (await client.groups("bar"))[0]!;
  assertStrictEquals(idle.oldestUnackedMs, undefined);
});

Deno.test("Client.deleteGroup tells whether there was such a group", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  server.bus.put("foo", "a");
  server.bus.get("foo", { group: "g" });
  assertEquals([await client.deleteGroup("foo", "g"), await client.deleteGroup("foo", "g")], [true, false]);
  assertEquals(await client.deleteGroup("bar", "g"), false);
  await rejected(client.deleteGroup("foo", ""), "bad_group");
});

Deno.test("Client refuses bad names of topics for groups without a request", async () => {
  const client = new Client(unusedUri());
  await rejected(client.groups("a//b"), "bad_topic");
  await rejected(client.deleteGroup("metrics", "g"), "reserved");
  await rejected(client.redrive("a*"), "bad_topic");
  await rejected(client.pull("foo", { group: "g", from: "yesterday" }), "bad_cursor");
});

Deno.test("Client tells from msgbusd's what is no answer about groups and leases", async () => {
  await using server = serve(() => Response.json({ teapot: true }));
  const client = new Client(server.uri);
  for (const request of [client.ack("x"), client.groups(), client.redrive("foo")]) {
    await rejected(request, "unexpected_answer");
  }
});

Deno.test("Client.redrive publishes dead letters again, of all groups or of one", async () => {
  await using direct = directBus({ maxAttempts: 1 });
  const { bus, client } = direct;
  assertStrictEquals(await client.redrive("foo"), undefined);
  bus.put("foo", "a", { key: "k" });
  assertEquals(await client.redrive("/foo/"), { redriven: 0, remaining: 0 });
  for (const group of ["g", ""]) await client.nack((await client.pull("foo", { group, leaseMs: 30_000 }))!.lease!);
  assertEquals(await client.redrive("foo", { group: "h" }), { redriven: 0, remaining: 0 });
  assertEquals(await client.redrive("foo", { group: "" }), { redriven: 1, remaining: 0 });
  assertEquals(await client.redrive("foo"), { redriven: 1, remaining: 0 });
  const { messages } = await client.pullBatch("foo");
  assertEquals(messages.map((message) => [message.id, message.text(), message.key]), [[1, "a", "k"], [2, "a", "k"]]);
});
