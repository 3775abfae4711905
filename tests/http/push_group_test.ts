/**
 * Groups that are pushed over WebSockets.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { LaterStore } from "../bus/later_store.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { direct, settled } from "./direct.ts";
import { HANDSHAKE, serve } from "./serving.ts";
import { Socket } from "./socket.ts";
import { range } from "./streams.ts";
import { setUp, turn, WorkerSocket } from "./worker_socket.ts";

const LINES = { protocols: ["msgbus.ndjson"] };

Deno.test("push group: over a socket a message comes as an envelope with attempt and lease, and ack is answered", async () => {
  await using server = serve({ ttlMs: 0 });
  await using socket = await Socket.open(server.port, "/t?group=g&lease=10s&inflight=1", LINES);
  assertEquals(socket.protocol, "msgbus.ndjson");
  server.bus.put("t", "a", { key: "k" });
  server.bus.put("t", "b");
  const first = (await socket.next())!;
  assertMatch(first, /^\{"id":0,"topic":.*,"key":"k","attempt":1,"lease":"[\w-]{22}"\}\n$/);
  const { lease } = JSON.parse(first);
  assertEquals(server.bus.groups("t")[1]!.leased, 1);
  socket.send(JSON.stringify({ ack: [lease, "nonsense"] }));
  // In one frame, the answer first: it is what made room.
  const [answer, second, ...others] = (await socket.next())!.split("\n");
  assertEquals(answer, `{"event":"settled","done":["${lease}"],"unknown":["nonsense"]}`);
  assertMatch(second!, /^\{"id":1,.*"attempt":1,"lease":"[\w-]{22}"\}$/);
  assertEquals(others, [""]);
});

Deno.test("push group: frames=ndjson asks for lines, too, and lines may come in binary frames", async () => {
  await using server = serve({ ttlMs: 0 });
  server.bus.put("t", "a");
  await using socket = await Socket.open(server.port, "/t?group=g&frames=ndjson");
  const { lease } = JSON.parse((await socket.next())!);
  socket.send(new TextEncoder().encode(JSON.stringify({ ack: [lease] })));
  assertEquals(JSON.parse((await socket.next())!).done, [lease]);
});

Deno.test("push group: leases are of 30 s, and at most 100, unless the client says otherwise", async () => {
  await using server = serve({ ttlMs: 0 });
  for (let i = 0; i < 101; i++) server.bus.put("t", `${i}`);
  await using _ = await Socket.open(server.port, "/t?group=g", LINES);
  const group = () => server.bus.groups("t")[1]!;
  while (group().leased < 100) await settled();
  assertEquals([group().leased, group().lag, group().waiters], [100, 1, 0]);
  await using other = serve({ ttlMs: 60_000, maxAttempts: 5 });
  other.bus.put("t", "a");
  await using socket = await Socket.open(other.port, "/t?group=g", LINES);
  await socket.next();
  assertMatch(other.bus.groups("t")[1]!.warning!, /\(30s x 5\)/);
});

Deno.test("push group: no more is leased than inflight, and each that is settled makes room for one", async () => {
  const { worker, clock, group } = setUp(10);
  const socket = worker({ inflight: 3 });
  await socket.turn();
  assertEquals(socket.ids, [0, 1, 2]);
  const [a, b, c] = socket.tokens;
  await socket.asks([{ ack: [b] }]);
  assertEquals(socket.ids, [0, 1, 2, 3]);
  await socket.asks([{ ack: [a, c] }]);
  assertEquals(socket.ids, [0, 1, 2, 3, 4, 5]);
  assertEquals([group()!.leased, group()!.acked], [3, 3]);
  clock.tick(20_000);
  await socket.turn();
  assertEquals(socket.ids.length, 6);
});

Deno.test("push group: a lease that has ended counts no more, and its message goes to who waited first", async () => {
  const { worker, clock } = setUp(2);
  const [slow, other] = [worker({ inflight: 1 }), worker({ inflight: 2 })];
  await turn(clock);
  assertEquals([slow.ids, other.ids], [[0], [1]]);
  clock.tick(20_000);
  other.sends([{ extend: [other.tokens[0]!] }]);
  clock.tick(10_020);
  await turn(clock);
  assertEquals([slow.ids, other.ids], [[0], [1, 0]]);
  assertEquals(other.lines.at(-1)!.attempt, 2);
  assertEquals((await slow.asks([{ ack: slow.tokens }]))[0], { event: "settled", done: [], unknown: slow.tokens });
  // It has room again.
  other.happens("close");
  await turn(clock);
  assertEquals(slow.ids, [0, 0]);
});

Deno.test("push group: the ack of a lease that has ended counts as long as nobody else has the message", async () => {
  const { worker, clock, bus } = setUp(1);
  const socket = worker({ inflight: 1 });
  await socket.turn();
  clock.stall(31_000);
  assertEquals((await socket.asks([{ ack: socket.tokens }]))[0]!.done, socket.tokens);
  clock.tick(60_000);
  await socket.turn();
  assertEquals([socket.ids, bus.totals().leased], [[0], 0]);
});

Deno.test("push group: a lease that had ended and is extended counts again", async () => {
  const { worker, clock, group } = setUp(3);
  const socket = worker({ inflight: 1 });
  await socket.turn();
  clock.stall(31_000);
  // In one go: the first line finds that the lease has ended, the second one has it again.
  await socket.asks([{ ack: ["nonsense"] }, { extend: socket.tokens }]);
  assertEquals([socket.ids, group()!.leased], [[0], 1]);
});

Deno.test("push group: nack hands back at once or after a delay, counted or not, with its reason", async () => {
  const { worker, clock, bus } = setUp(1, { maxAttempts: 3 });
  const socket = worker();
  await socket.turn();
  const last = () => socket.tokens.at(-1)!;
  await socket.asks([{ nack: [last()], count: false }]);
  await socket.asks([{ nack: [last()] }]);
  assertEquals(socket.lines.flatMap(({ attempt }) => attempt ?? []), [1, 1, 2]);
  await socket.asks([{ nack: [last()], delay: "5s", count: true }]);
  assertEquals(socket.ids.length, 3);
  clock.tick(5020);
  await socket.turn();
  assertEquals(socket.lines.at(-1)!.attempt, 3);
  await socket.asks([{ nack: [last()], reason: "no disk" }]);
  assertEquals(bus.get("t/-dead")?.headers?.["msgbus-dead-reason"], "no disk");
});

Deno.test("push group: extend makes leases last, for as long as it says or as at first", async () => {
  const { worker, clock, group } = setUp(2);
  const socket = worker({ inflight: 2 });
  await socket.turn();
  const [a, b] = socket.tokens;
  clock.tick(29_000);
  const answers = await socket.asks([{ extend: [a], lease: "1m" }, { extend: [b] }]);
  assertEquals(answers.map(({ done }) => done), [[a!], [b!]]);
  clock.tick(29_999);
  assertEquals(group()!.leased, 2);
  clock.tick(1);
  assertEquals(group()!.leased, 1);
  clock.tick(29_999);
  assertEquals(group()!.leased, 1);
  clock.tick(1);
  assertEquals(group()!.leased, 0);
});

for (const event of ["close", "error"] as const) {
  Deno.test(`push group: what a socket holds is handed back at once, uncounted, on ${event}`, async () => {
    const { worker, clock, group, bus } = setUp(5);
    const [first, second] = [worker({ inflight: 4 }), worker({ inflight: 10 })];
    await turn(clock);
    assertEquals([first.ids, second.ids], [[0, 1, 2, 3], [4]]);
    first.sends([{ ack: [first.tokens[1]!] }]);
    first.happens(event);
    first.happens("close");
    await turn(clock);
    assertEquals(second.lines.map(({ id, attempt }) => [id, attempt]), [[4, 1], [0, 1], [2, 1], [3, 1]]);
    assertEquals([group()!.acked, group()!.waiters], [1, 1]);
    second.happens(event);
    await turn(clock);
    assertEquals([group()!.leased, group()!.waiting, group()!.waiters, group()!.attempts], [0, 4, 0, 0]);
    assertEquals([bus.totals().leased, clock.deferred], [0, 0]);
    await bus.close();
    assertEquals(clock.timers, 0);
  });
}

Deno.test("push group: nothing is leased to a socket that hasn't opened, and nothing is kept of one that never does", async () => {
  const { worker, clock, group, bus } = setUp(1);
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => void listeners++;
  const socket = worker({ readyState: WebSocket.CONNECTING, draining: signal });
  await turn(clock);
  assertEquals([listeners, group()?.leased ?? 0, group()?.waiters ?? 0], [0, 0, 0]);
  await bus.close();
  assertEquals([clock.timers, socket.frames], [0, []]);
});

Deno.test("push group: what a pull brings after the socket has closed goes back", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  const published = bus.publish("t", ["a", "b"]);
  await store.answer();
  await published;
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  assertEquals([store.waiting, socket.frames], [["advance t g to 2, 0 has 1, 1 has 1"], []]);
  socket.happens("close");
  assertEquals(store.waiting.at(-1), "advance t g to 2, 0 has 0, 1 has 0");
  await store.answerAll();
  await turn(clock);
  assertEquals([socket.frames, socket.bugs, bus.totals().leased], [[], [], 0]);
});

Deno.test("push group: what came before the store fails is a bug that is told, and closes with 1011", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  const published = bus.publish("t", ["a"]);
  await store.answer();
  await published;
  const socket = new WorkerSocket(bus, clock);
  await turn(clock);
  await store.answerAll();
  await socket.turn();
  socket.sends([{ ack: socket.tokens }]);
  await store.refuse();
  await turn(clock);
  assertEquals(socket.lines.at(-1), { error: "internal", message: "Internal error" } as object);
  assertEquals([socket.closeCode, socket.bugs.map(String)], [1011, ["Error: the disk is full"]]);
});

Deno.test("push group: answers come in order and when the store has learnt of everything, and then bye", async () => {
  const clock = new TestClock();
  const store = new LaterStore();
  const bus = new MessageBus({ clock, store, ttlMs: 0 });
  const published = bus.publish("t", ["a", "b", "c"]);
  await store.answer();
  await published;
  const drain = new AbortController();
  const socket = new WorkerSocket(bus, clock, { draining: drain.signal });
  await turn(clock);
  await store.answerAll();
  await socket.turn();
  const [a, b, c] = socket.tokens;
  socket.sends([{ ack: [a] }]);
  socket.sends([{ ack: ["nonsense"] }, { ack: [b] }]);
  await socket.turn();
  drain.abort();
  await turn(clock);
  assertEquals([socket.lines.length, socket.closeCode], [3, undefined]);
  assertEquals(store.waiting.at(-1), "advance t g to 3, 2 has 0");
  await store.answerAll();
  await turn(clock);
  assertEquals(socket.lines.slice(3), [
    { event: "settled", done: [a!], unknown: [] },
    { event: "settled", done: [], unknown: ["nonsense"] },
    { event: "settled", done: [b!], unknown: [] },
    { event: "bye" },
  ]);
  assertEquals([socket.closeCode, (await bus.ack(c!)).unknown], [1001, [c]]);
});

Deno.test("push group: a server that drains says bye, closes with 1001, and takes everything back", async () => {
  const drain = new AbortController();
  await using server = serve({ ttlMs: 0 }, { draining: drain.signal });
  for (const payload of ["a", "b"]) server.bus.put("t", payload);
  await using full = await Socket.open(server.port, "/t?group=g&inflight=1", LINES);
  await full.next();
  await using waits = await Socket.open(server.port, "/t?group=g&inflight=2", LINES);
  await waits.next();
  drain.abort();
  for (const socket of [full, waits]) {
    assertEquals(await socket.next(), `{"event":"bye"}\n`);
    assertEquals(await socket.closed, { code: 1001, reason: "the server is shutting down" });
  }
  const { leased, waiting, attempts } = server.bus.groups("t")[1]!;
  assertEquals([leased, waiting, attempts], [0, 2, 0]);
});

Deno.test("push group: a bus that drains ends the sockets that wait, and those of a bus that is closed end, too", async () => {
  const { worker, clock, bus, group } = setUp(1);
  const [waits, full] = [worker({ inflight: 2 }), worker({ inflight: 1 })];
  await turn(clock);
  bus.drain();
  await turn(clock);
  assertEquals([waits.lines.at(-1)!.event, waits.closeCode, group()!.leased], ["bye", 1001, 0]);
  assertEquals([full.lines.at(-1)!.event, full.closeCode], ["bye", 1001]);
  const { worker: another, bus: closed } = setUp(1);
  const socket = another();
  await socket.turn();
  await closed.close();
  await socket.asks([{ ack: socket.tokens }]);
  assertEquals([socket.lines.at(-1)!.event, socket.closeCode, socket.bugs], ["bye", 1001, []]);
});

Deno.test("push group: a socket that opens while the server drains is closed with 1001, and leases nothing", async () => {
  const { worker, clock, group } = setUp(1);
  const drain = new AbortController();
  const socket = worker({ readyState: WebSocket.CONNECTING, draining: drain.signal });
  drain.abort();
  socket.readyState = WebSocket.OPEN;
  socket.happens("open");
  await turn(clock);
  assertEquals([socket.lines, socket.closeCode, group()?.leased ?? 0], [[{ event: "bye" }], 1001, 0]);
});

Deno.test("push group: a socket stays when its topic is deleted, and gets the first message of the next", async () => {
  const { worker, clock, bus } = setUp(3);
  const [full, waits] = [worker({ inflight: 2, from: "latest" }), worker({ inflight: 2 })];
  await turn(clock);
  // The group began with what was published after it was made.
  await bus.publish("t", ["a", "b", "c"]);
  await turn(clock);
  assertEquals([full.ids, waits.ids], [[3, 4], [5]]);
  await bus.delete("t");
  await turn(clock);
  assertEquals((await full.asks([{ ack: full.tokens }]))[0]!.unknown, full.tokens);
  bus.put("t", "new");
  bus.put("t", "newer");
  await turn(clock);
  assertEquals([...waits.ids, ...full.ids], [5, 0, 3, 4, 1]);
  assertEquals([full.closeCode, waits.closeCode], [undefined, undefined]);
});

Deno.test("push group: a group that is forgotten begins anew for the sockets that stay", async () => {
  const { worker, bus } = setUp(2);
  const socket = worker({ inflight: 1 });
  await socket.turn();
  await bus.deleteGroup("t", "g");
  await socket.turn();
  const [first, second] = socket.tokens;
  assertEquals(socket.lines.map(({ id, attempt }) => [id, attempt]), [[0, 1], [0, 1]]);
  assertEquals((await socket.asks([{ ack: [first, second] }]))[0], {
    event: "settled",
    done: [second!],
    unknown: [first!],
  });
});

Deno.test("push group: a topic that doesn't exist is waited for, and its first message is the first", async () => {
  const { worker, bus, clock } = setUp();
  bus.makeGroup("t", { group: "g", from: "latest" });
  const socket = worker({ from: "latest" });
  await socket.turn();
  bus.put("t", "a");
  await turn(clock);
  assertEquals(socket.ids, [0]);
});

Deno.test("push group: while the group has as many leased as it may, the socket tries again every second", async () => {
  const { worker, bus, clock } = setUp(3, { maxLeased: 1 });
  const { lease = "" } = bus.get("t", { group: "g", leaseMs: 3_600_000 })!;
  const socket = worker({ inflight: 1 });
  for (let i = 0; i < 3; i++) {
    await socket.turn();
    clock.tick(1000);
  }
  await socket.turn();
  assertEquals([socket.lines, socket.closeCode, socket.refused], [[], undefined, []]);
  await bus.ack(lease);
  await socket.turn();
  assertEquals(socket.ids, []);
  clock.tick(1000);
  await socket.turn();
  assertEquals(socket.ids, [1]);
  // It knows of its own.
  await socket.asks([{ ack: socket.tokens }]);
  assertEquals(socket.ids, [1, 2]);
  socket.happens("close");
  await bus.close();
  assertEquals(clock.timers, 0);
});

Deno.test("push group: a socket that closes while it pauses leaves no timer behind", async () => {
  const { worker, clock } = setUp(2, { maxLeased: 1 });
  const socket = worker();
  await socket.turn();
  const { timers } = clock;
  clock.tick(1000);
  await turn(clock);
  assertEquals(clock.timers, timers);
  socket.happens("close");
  assertEquals(clock.timers, timers - 1);
});

Deno.test("push group: a socket that pauses goes on at once when it has settled something itself", async () => {
  const { worker, bus, clock } = setUp(3, { maxLeased: 2 });
  const socket = worker({ inflight: 3 });
  await socket.turn();
  assertEquals(socket.ids, [0, 1]);
  await socket.asks([{ ack: [socket.tokens[0]!] }]);
  assertEquals(socket.ids, [0, 1, 2]);
  socket.happens("close");
  await bus.close();
  assertEquals(clock.timers, 0);
});

Deno.test("push group: what can't pass is told and closes with 1013", async () => {
  const { worker, bus, clock } = setUp(1, { maxGroups: 1 });
  bus.makeGroup("t", { group: "h" });
  const socket = worker();
  await socket.turn();
  assertEquals([socket.lines[0]!.error, socket.closeCode, socket.refused], ["too_many_groups", 1013, [
    "too_many_groups",
  ]]);
  assertEquals(clock.deferred, 0);
});

Deno.test("push group: a gap is told before the messages that follow it", async () => {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, maxMessages: 3, ttlMs: 0 });
  const worker = new WorkerSocket(bus, clock, { inflight: 2 });
  await worker.turn();
  for (let i = 0; i < 10; i++) bus.put("t", `${i}`);
  await worker.turn();
  assertEquals(worker.lines.map(({ event, id }) => event ?? id), ["gap", 7, 8]);
  const { epoch } = (await bus.browse("t"))!.messages[0]!.topic;
  assertEquals(worker.lines[0] as object, {
    event: "gap",
    cursor: `7@${epoch}`,
    topic: "t",
    from: 0,
    to: 6,
    reason: "dropped",
  });
  const reset = new WorkerSocket(bus, clock, { group: "h", from: { next: 0, epoch: "another" } });
  await reset.turn();
  assertEquals(reset.lines.map(({ event, id }) => event ?? id), ["gap", 7, 8, 9]);
  assertMatch(JSON.stringify(reset.lines[0]), /"cursor":"7@.*"from":null,"to":6,"reason":"reset"/);
  await bus.delete("t");
  bus.put("t", "new");
  const another = new WorkerSocket(bus, clock, { group: "i", from: { next: 5, epoch } });
  await another.turn();
  assertEquals(another.lines.map(({ event, id }) => event ?? id), ["gap", 0]);
  assertMatch(JSON.stringify(another.lines[0]), /"cursor":"0@.*"from":null,"to":null,"reason":"reset"/);
});

Deno.test("push group: tokens of another group, or of the queue, are unknown, and stay good", async () => {
  const { worker, bus } = setUp(2);
  const socket = worker({ inflight: 1 });
  await socket.turn();
  const others = [bus.get("t", { group: "h", leaseMs: 10_000 })!, bus.get("t", { leaseMs: 10_000 })!];
  bus.put("u", "a");
  others.push(bus.get("u", { group: "g", leaseMs: 10_000 })!);
  const tokens = others.map(({ lease }) => lease!);
  for (const line of [{ ack: tokens }, { nack: tokens }, { extend: tokens, lease: "12h" }]) {
    assertEquals(await socket.asks([line]), [{ event: "settled", done: [], unknown: tokens }]);
  }
  assertEquals((await bus.ack(tokens)).done, tokens);
});

Deno.test("push group: a token of its own that is settled elsewhere makes room, too", async () => {
  await using server = serve({ ttlMs: 0 });
  for (const payload of ["a", "b"]) server.bus.put("t", payload);
  await using socket = await Socket.open(server.port, "/t?group=g&inflight=1", LINES);
  const { lease } = JSON.parse((await socket.next())!);
  await server.ask("POST /-/ack", {}, lease);
  assertEquals(JSON.parse((await socket.next())!).id, 1);
});

Deno.test("push group: three sockets and a long poll share what comes, one after the other and at once", async () => {
  await using it = direct({ ttlMs: 0 });
  const sockets = [100, 100, 100].map((inflight) => new WorkerSocket(it.bus, it.clock, { inflight }));
  await turn(it.clock);
  const poll = it.get("/t?group=g&lease=30s&wait=1m");
  await turn(it.clock);
  for (let i = 0; i < 5; i++) {
    it.bus.put("t", `${i}`);
    await turn(it.clock);
  }
  assertEquals(sockets.map(({ ids }) => ids), [[0, 4], [1], [2]]);
  assertEquals(JSON.parse(await (await poll).text()).id, 3);
  // The first socket has just been served, so it is the last of those that wait; then comes another poll.
  const again = it.get("/t?group=g&lease=30s&limit=20&wait=1m");
  await turn(it.clock);
  await it.bus.publish("t", range(0, 80).map(String));
  await turn(it.clock);
  assertEquals(sockets.map(({ ids }) => ids.filter((id) => id > 4)), [range(45, 65), range(5, 25), range(25, 45)]);
  assertEquals((await (await again).text()).trimEnd().split("\n").map((line) => JSON.parse(line).id), range(65, 85));
});

Deno.test("push group: over sockets, three clients and a long poll get each message once", async () => {
  await using server = serve({ ttlMs: 0 });
  const sockets = await Promise.all(
    [1, 5, 100].map((inflight) => Socket.open(server.port, `/t?group=g&inflight=${inflight}`, LINES)),
  );
  const seen: number[] = [];
  const all = Promise.withResolvers<void>();
  const saw = (ids: number[]) => {
    seen.push(...ids);
    if (seen.length === 500) all.resolve();
  };
  const works = sockets.map(async (socket) => {
    for (let frame = await socket.next(); frame !== undefined; frame = await socket.next()) {
      const messages = frame.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ lease }) => lease);
      if (messages.length > 0) socket.send(JSON.stringify({ ack: messages.map(({ lease }) => lease) }));
      saw(messages.map(({ id }) => id));
    }
  });
  const polls = (async () => {
    for (;;) {
      const { status, body } = await server.ask("GET /t?group=g&lease=30s&wait=1m");
      if (status !== 200) return;
      const { id, lease } = JSON.parse(body);
      await server.ask("POST /-/ack", {}, lease);
      saw([id]);
    }
  })();
  for (let i = 0; i < 50; i++) await server.ask("PUT /t?split=lines", {}, range(0, 10).join("\n"));
  await all.promise;
  assertEquals(seen.toSorted((a, b) => a - b), range(0, 500));
  for (const socket of sockets) await socket.close();
  server.bus.drain();
  await Promise.all([...works, polls]);
  assertEquals([server.bus.groups("t")[1]!.acked, server.bus.totals().leased], [500, 0]);
});

Deno.test("push group: messages of a key come one after the other, whichever sockets they go to", async () => {
  const { worker, clock, bus } = setUp();
  const sockets = [worker({ inflight: 3 }), worker({ inflight: 3 }), worker({ inflight: 3 })];
  await turn(clock);
  for (let i = 0; i < 60; i++) bus.put("t", `${i}`, { key: `k${i % 4}` });
  const done: number[] = [];
  const acked = new Set<string>();
  for (let round = 0; done.length < 60 && round < 200; round++) {
    await turn(clock);
    const out = sockets.flatMap((socket) =>
      socket.lines.filter(({ lease }) => lease !== undefined && !acked.has(lease)).map((line) => ({ socket, line }))
    );
    const keys = out.map(({ line }) => line.id! % 4);
    assertEquals(keys.length, new Set(keys).size, `two of one key: ${keys}`);
    // One of them at a time, another socket's each time, in an order that differs from that of the ids.
    const { socket, line } = out[round * 7 % out.length]!;
    if (round % 5 === 4) socket.sends([{ nack: [line.lease], count: false }]);
    else {
      done.push(line.id!);
      socket.sends([{ ack: [line.lease] }]);
    }
    acked.add(line.lease!);
    for (const socket of sockets) socket.read();
  }
  for (const key of range(0, 4)) {
    assertEquals(done.filter((id) => id % 4 === key), range(0, 15).map((i) => 4 * i + key));
  }
});

Deno.test("push group: a socket that waits is a waiter of its group, and no subscriber of its topic", async () => {
  await using server = serve({ ttlMs: 0 });
  server.bus.put("t", "a");
  await using socket = await Socket.open(server.port, "/t?group=g&inflight=2", LINES);
  await socket.next();
  while (server.bus.groups("t")[1]!.waiters === 0) await settled();
  const [, group] = JSON.parse((await server.ask("GET /-/groups?topic=t")).body);
  assertEquals([group.waiters, group.leased], [1, 1]);
  assertEquals((await server.ask("HEAD /t")).headers.get("msgbus-subscribers"), "0");
  assertEquals(server.bus.totals().subscriptions, 0);
  server.bus.put("t", "b");
  await socket.next();
  await settled();
  assertEquals(server.bus.groups("t")[1]!.waiters, 0);
});

for (
  const [target, fields, status, code] of [
    ["/t?group=g", {}, 400, "bad_parameter"],
    ["/t?group=g", { "sec-websocket-protocol": "msgbus" }, 400, "bad_parameter"],
    ["/t?group=g&frames=plain", {}, 400, "bad_parameter"],
    ["/t?group=g&since=0", undefined, 400, "bad_parameter"],
    ["/t?group=g&index=0", undefined, 400, "bad_parameter"],
    ["/t?group=g&wait=1s", undefined, 400, "bad_parameter"],
    ["/t?group=g&limit=1", undefined, 400, "bad_parameter"],
    ["/t?group=g&format=ndjson", undefined, 400, "bad_parameter"],
    ["/t?group=g&mode=publish", undefined, 400, "bad_parameter"],
    ["/t?group=g&mode=subscribe", undefined, 400, "bad_parameter"],
    ["/t?inflight=1", undefined, 400, "bad_parameter"],
    ["/t?lease=30s", undefined, 400, "bad_parameter"],
    ["/t?from=0", undefined, 400, "bad_parameter"],
    ["/t?group=g&inflight=0", undefined, 400, "bad_parameter"],
    ["/t?group=g&inflight=1001", undefined, 400, "bad_parameter"],
    ["/t?group=g&inflight=x", undefined, 400, "bad_parameter"],
    ["/t?group=g&lease=999ms", undefined, 400, "bad_parameter"],
    ["/t?group=g&lease=13h", undefined, 400, "bad_parameter"],
    ["/t?group=g&from=never", undefined, 400, "bad_cursor"],
    ["/t?group=a/b", undefined, 400, "bad_group"],
    ["/t?group=-a", undefined, 400, "bad_group"],
    [`/t?group=${"x".repeat(129)}`, undefined, 400, "bad_group"],
    ["/u?group=a/b", undefined, 400, "bad_group"],
    ["/t?group=second", undefined, 507, "too_many_groups"],
    ["/t,u?group=g", undefined, 400, "bad_topic"],
    ["/t/*?group=g", undefined, 400, "bad_topic"],
    ["/t//u?group=g", undefined, 400, "bad_topic"],
    ["/?group=g", undefined, 400, "bad_topic"],
    ["/-/health?group=g", undefined, 404, "no_topic"],
    ["/metrics?group=g", undefined, 404, "no_topic"],
    ["/t?group=g", { origin: "https://evil.example" }, 403, "origin_not_allowed"],
    ["/t?group=g", { "sec-websocket-version": "8" }, 426, "upgrade_required"],
    ["/t?group=g", { "sec-websocket-protocol": "chat" }, 400, "unknown_subprotocol"],
  ] as const
) {
  const asked = fields === undefined ? "" : ` with ${JSON.stringify(fields)}`;
  Deno.test(`push group: ${target.slice(0, 30)}${asked} is refused with ${code} before there is a socket`, async () => {
    await using server = serve({ maxGroups: 1 });
    server.bus.put("t", "a");
    server.bus.makeGroup("t", { group: "first" });
    const all = {
      ...HANDSHAKE,
      "sec-websocket-protocol": fields === undefined ? "msgbus.ndjson" : undefined,
      ...fields,
    };
    const { status: got, error } = await server.ask(`GET ${target}`, all);
    assertEquals([got, error], [status, code]);
    assertEquals(server.bus.groups("t").map(({ group }) => group), ["", "first"]);
  });
}

Deno.test("push group: a group is there when the handshake is answered, so nothing published then is missed", async () => {
  await using server = serve({ ttlMs: 0 });
  server.bus.put("t", "before");
  await using socket = await Socket.open(server.port, "/t?group=g&from=latest", LINES);
  server.bus.put("t", "after");
  assertEquals(JSON.parse((await socket.next())!).id, 1);
});

Deno.test("push group: the group without a name is the queue", async () => {
  await using server = serve({ ttlMs: 0 });
  server.bus.put("t", "a");
  await using socket = await Socket.open(server.port, "/t?group=", LINES);
  const { lease } = JSON.parse((await socket.next())!);
  assertEquals((await server.ask("GET /t")).error, "empty");
  socket.send(JSON.stringify({ ack: [lease] }));
  assertEquals(JSON.parse((await socket.next())!).done, [lease]);
  assertEquals(server.bus.groups("t").map(({ acked }) => acked), [1]);
});

Deno.test("push group: dead letters can be worked on like anything else", async () => {
  await using server = serve({ ttlMs: 0, maxAttempts: 1 });
  server.bus.put("t", "a");
  await server.bus.nack(server.bus.get("t", { leaseMs: 10_000 })!.lease!);
  await using socket = await Socket.open(server.port, "/t/-dead?group=g", LINES);
  assertEquals(JSON.parse((await socket.next())!).headers["msgbus-dead-topic"], "t");
});

Deno.test("push group: what a socket is refused is told of, like a request that is", async () => {
  const codes: string[] = [];
  await using server = serve({}, { onMessageRefused: (code) => void codes.push(code) });
  await using socket = await Socket.open(server.port, "/t?group=g", LINES);
  socket.send("nonsense");
  assertEquals(JSON.parse((await socket.next())!).error, "bad_request");
  assertEquals(await socket.closed, { code: 4400, reason: "bad line" });
  assertEquals([codes, server.refusals.map(({ error }) => error.code)], [["bad_request"], ["bad_request"]]);
});
