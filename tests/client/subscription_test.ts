import { type ClientClock, machineClock } from "../../lib/client/backoff.ts";
import { Client } from "../../lib/client/client.ts";
import type { ClientSubscription, ReconnectNotice } from "../../lib/client/subscription.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { Message } from "../../lib/message.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assertEquals, assertMatch, assertRejects, assertStrictEquals, assertStringIncludes } from "../deps.ts";
import { lastingPort } from "../lasting_port.ts";
import { hasty, WATCHDOG_MS } from "./hasty_clock.ts";
import { serve, serveBus, unusedUri } from "./local_server.ts";

async function iterationFails(subscription: ClientSubscription, code: ErrorCode): Promise<BusError> {
  const error = await assertRejects(() => subscription[Symbol.asyncIterator]().next(), BusError);
  assertEquals(error.code, code, error.message);
  await subscription.closed;
  return error;
}

/** A server that upgrades every request and hands the socket to `talk`. */
function serveSockets(talk: (socket: WebSocket, turn: number) => void) {
  let turn = 0;
  return serve((request, _info, upgrade) => {
    if (request.headers.get("upgrade") !== "websocket") return new Response(null, { status: 200 });
    const { socket, response } = upgrade(request);
    const mine = turn++;
    socket.onopen = () => talk(socket, mine);
    return response;
  });
}

/** The envelopes of `count` messages of a topic. */
function envelopes(count: number): string[] {
  const topic = { name: "foo", ttlMs: 0, createdMs: 1_521_983_918_732, epoch: "jf6ooxb0" };
  const payload = (id: number) => new TextEncoder().encode(`payload ${id}`);
  return Array.from({ length: count }, (_, id) => {
    return encodeEnvelope(new Message(topic, { id, payload: payload(id), createdMs: topic.createdMs }));
  });
}

Deno.test("ClientSubscription gives messages as they are published, in order", async () => {
  await using server = serveBus();
  using subscription = new Client(server.uri).subscribe("/foo/");
  assertEquals(subscription.topic, "foo");
  assertStrictEquals(subscription.cursor, undefined);
  await subscription.ready;
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const got: Message[] = [];
  for await (const message of subscription) {
    assertEquals(subscription.cursor, message.cursor);
    if (got.push(message) === 3) break;
  }
  assertEquals(got.map((message) => `${message.id} ${message.text()}`), ["0 a", "1 b", "2 c"]);
  await subscription.closed;
  assertEquals(subscription.cursor, server.bus.topic("foo")!.cursor);
});

Deno.test("ClientSubscription ends when its topic is deleted, after what was published before", async () => {
  await using server = serveBus();
  let reconnects = 0;
  using subscription = new Client(server.uri).subscribe("foo", { onReconnect: () => void reconnects++ });
  await subscription.ready;
  server.bus.put("foo", "a");
  const iteration = subscription[Symbol.asyncIterator]();
  assertEquals((await iteration.next()).value?.text(), "a");
  await server.bus.delete("foo");
  assertEquals(await iteration.next(), { done: true, value: undefined });
  await subscription.closed;
  assertEquals(reconnects, 0);
});

Deno.test("ClientSubscription.close ends an iteration that waits, and the server's subscription", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = serveBus({ observer: { unsubscribed: () => gone.resolve() } });
  using subscription = new Client(server.uri).subscribe("foo");
  await subscription.ready;
  const next = subscription[Symbol.asyncIterator]().next();
  subscription.close();
  subscription.close();
  assertEquals(await next, { done: true, value: undefined });
  await gone.promise;
  await subscription.closed;
});

Deno.test("ClientSubscription.close drops what was not handed out", async () => {
  await using server = serveBus();
  using subscription = new Client(server.uri).subscribe("foo");
  await subscription.ready;
  server.bus.put("foo", "a");
  server.bus.put("foo", "b");
  for await (const _ of subscription) break;
  assertEquals(await Array.fromAsync(subscription), []);
  await subscription.closed;
});

Deno.test("ClientSubscription closes when its signal aborts", async () => {
  await using server = serveBus();
  const controller = new AbortController();
  using subscription = new Client(server.uri).subscribe("foo", { signal: controller.signal });
  await subscription.ready;
  const all = Array.fromAsync(subscription);
  controller.abort();
  assertEquals(await all, []);
  await subscription.closed;
});

Deno.test("ClientSubscription doesn't connect with a signal that has aborted", async () => {
  using subscription = new Client(unusedUri()).subscribe("foo", { signal: AbortSignal.abort() });
  assertEquals(await Array.fromAsync(subscription), []);
  const error = await assertRejects(() => subscription.ready, BusError);
  assertEquals(error.code, "already_closed");
  await subscription.closed;
});

Deno.test("ClientSubscription serves two iterations, each message one of them", async () => {
  await using server = serveBus();
  using subscription = new Client(server.uri).subscribe("foo");
  await subscription.ready;
  const both = [subscription, subscription].map((one) => one[Symbol.asyncIterator]().next());
  server.bus.put("foo", "a");
  server.bus.put("foo", "b");
  assertEquals((await Promise.all(both)).map(({ value }) => value?.text()), ["a", "b"]);
  subscription.close();
  await subscription.closed;
});

Deno.test("ClientSubscription connects again when the server comes back, after waits that double and begin anew", async () => {
  const first = serveBus({}, lastingPort());
  const waits: number[] = [];
  const reasons: string[] = [];
  let connections = 0;
  const tried = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  using subscription = new Client(first.uri).subscribe("foo", {
    clock: hasty,
    maxWaitMs: 10_000,
    onConnect: () => void connections++,
    onReconnect({ reason, waitMs }: ReconnectNotice) {
      waits.push(waitMs);
      reasons.push(`${reason.code}: ${reason.message}`);
      if (waits.length >= 5) tried[0]!.resolve();
    },
  });
  await subscription.ready;
  first.bus.put("foo", "from the first");
  const iteration = subscription[Symbol.asyncIterator]();
  assertEquals((await iteration.next()).value?.text(), "from the first");

  await first.stop();
  await tried[0]!.promise;
  assertEquals(waits.slice(0, 5), [2_000, 4_000, 8_000, 10_000, 10_000]);
  assertMatch(reasons[0]!, /^unreachable: Cannot reach .*: .*shutting down$/);
  assertEquals(reasons[1], `unreachable: Cannot reach ${first.uri}: connection refused`);

  const back = Promise.withResolvers<void>();
  await using second = serveBus({ observer: { subscribed: () => back.resolve() } }, first.port);
  await back.promise;
  second.bus.put("foo", "from the second");
  assertEquals((await iteration.next()).value?.text(), "from the second");
  assertEquals(connections, 2);

  waits.length = 0;
  await second.stop();
  const third = Promise.withResolvers<void>();
  await using _ = serveBus({ observer: { subscribed: () => third.resolve() } }, first.port);
  await third.promise;
  assertEquals(waits[0], 2_000);
  subscription.close();
  await subscription.closed;
});

Deno.test("ClientSubscription goes on waiting longer when connections are made but don't last", async () => {
  await using server = serveSockets((socket) => socket.close(1013, "busy"));
  const waits: number[] = [];
  using subscription = new Client(server.uri).subscribe("foo", {
    clock: hasty,
    onReconnect({ waitMs }) {
      if (waits.push(waitMs) === 3) subscription.close();
    },
  });
  assertEquals(await Array.fromAsync(subscription), []);
  assertEquals(waits, [2_000, 4_000, 8_000]);
  await subscription.closed;
});

Deno.test("ClientSubscription ends while it waits to connect again", async () => {
  const waiting = Promise.withResolvers<void>();
  using subscription = new Client(unusedUri()).subscribe("foo", { onReconnect: () => waiting.resolve() });
  const all = Array.fromAsync(subscription);
  await waiting.promise;
  subscription.close();
  assertEquals(await all, []);
  await subscription.closed;
});

Deno.test("ClientSubscription without reconnect fails when nobody listens", async () => {
  const uri = unusedUri();
  using subscription = new Client(uri).subscribe("foo", { reconnect: false });
  assertEquals((await assertRejects(() => subscription.ready, BusError)).code, "unreachable");
  const error = await iterationFails(subscription, "unreachable");
  assertEquals(error.message, `Cannot reach ${uri}: connection refused`);
});

Deno.test("ClientSubscription without reconnect fails when the server shuts down", async () => {
  const server = serveBus();
  using subscription = new Client(server.uri).subscribe("foo", { reconnect: false });
  await subscription.ready;
  await server.stop();
  assertMatch((await iterationFails(subscription, "unreachable")).message, /shutting down$/);
});

Deno.test("ClientSubscription fails with the code of a refusal, and doesn't try again", async () => {
  await using server = serve(() => new Response("", { status: 403, headers: { "msgbus-error": "host_not_allowed" } }));
  await iterationFails(new Client(server.uri).subscribe("foo"), "host_not_allowed");
});

Deno.test("ClientSubscription fails when the server is not msgbusd", async () => {
  await using server = serve(() => new Response("", { status: 404 }));
  await iterationFails(new Client(server.uri).subscribe("foo"), "unexpected_answer");
});

Deno.test("ClientSubscription tries again when the server is only busy", async () => {
  let asked = 0;
  await using server = serve((request, _info, upgrade) => {
    if (asked++ < 2) return new Response(null, { status: 503, headers: { "msgbus-error": "draining" } });
    const { socket, response } = upgrade(request);
    socket.onopen = () => socket.send(envelopes(1)[0]!);
    return response;
  });
  const reasons: ErrorCode[] = [];
  using subscription = new Client(server.uri).subscribe("foo", {
    clock: hasty,
    onReconnect: ({ reason }) => void reasons.push(reason.code),
  });
  for await (const message of subscription) {
    assertEquals(message.text(), "payload 0");
    break;
  }
  assertEquals(reasons, ["draining"]);
  await subscription.closed;
});

Deno.test("ClientSubscription says that a server answers without WebSockets", async () => {
  await using server = serve(() => new Response(null, { status: 404, headers: { "msgbus-error": "no_topic" } }));
  const error = await iterationFails(
    new Client(server.uri).subscribe("foo", { reconnect: false }),
    "unexpected_answer",
  );
  assertStringIncludes(error.message, "no WebSocket");
});

Deno.test("ClientSubscription fails when the server closes with a code that refuses", async () => {
  await using server = serveSockets((socket) => socket.close(4403, "not yours\x1b[0m"));
  const error = await iterationFails(new Client(server.uri).subscribe("foo"), "unexpected_answer");
  assertMatch(error.message, /refuses the subscription: not yours\\u001b\[0m \(4403\)$/);
});

Deno.test("ClientSubscription connects again after a stall", async () => {
  await using server = serveSockets((socket, turn) => turn === 0 ? socket.close(4408, "stalled") : socket.close(4404));
  const reasons: string[] = [];
  using subscription = new Client(server.uri).subscribe("foo", {
    clock: hasty,
    onReconnect: ({ reason }) => void reasons.push(reason.message),
  });
  assertEquals(await Array.fromAsync(subscription), []);
  assertEquals(reasons, [`Cannot reach ${server.uri}: stalled`]);
  await subscription.closed;
});

for (const frame of ["no envelope", '{"id":-1}', new Uint8Array([1, 2])]) {
  Deno.test(`ClientSubscription fails on a frame that is no envelope: ${frame}`, async () => {
    await using server = serveSockets((socket) => socket.send(frame));
    await iterationFails(new Client(server.uri).subscribe("foo"), "unexpected_answer");
  });
}

Deno.test("ClientSubscription drops its connection when the reader lags, and connects again when it has caught up", async () => {
  const sent = envelopes(20);
  await using server = serveSockets((socket, turn) => {
    if (turn === 0) { for (const envelope of sent.slice(0, 10)) socket.send(envelope); }
    else for (const envelope of sent.slice(10, 12)) socket.send(envelope);
  });
  const flooded = Promise.withResolvers<ReconnectNotice>();
  using subscription = new Client(server.uri).subscribe("foo", {
    clock: hasty,
    maxBufferedBytes: 3 * sent[0]!.length,
    onReconnect: flooded.resolve,
  });
  const { reason, waitMs } = await flooded.promise;
  assertEquals([reason.code, waitMs], ["overloaded", 0]);
  const ids: number[] = [];
  for await (const message of subscription) {
    if (ids.push(message.id) === 6) break;
  }
  assertEquals(ids, [0, 1, 2, 3, 10, 11]);
  await subscription.closed;
});

Deno.test("ClientSubscription gives up a connection that is not answered", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const watchdogs: (() => void)[] = [];
  const clock = { ...hasty, schedule: (task: () => void) => (watchdogs.push(task), () => {}) };
  using subscription = new Client(`http://127.0.0.1:${listener.addr.port}`).subscribe("foo", {
    reconnect: false,
    clock,
  });
  const silent = await listener.accept();
  watchdogs[0]!();
  listener.close();
  await iterationFails(subscription, "unreachable");
  silent.close();
});

Deno.test("ClientSubscription sends something now and then, to notice a connection that died without a word", async () => {
  const heard = Promise.withResolvers<string>();
  await using server = serveSockets((socket) => {
    socket.onmessage = ({ data }) => {
      heard.resolve(data);
      socket.close(4404);
    };
  });
  const watchdogs: (() => void)[] = [];
  const clock = { ...hasty, schedule: (task: () => void) => (watchdogs.push(task), () => {}) };
  using subscription = new Client(server.uri).subscribe("foo", { clock });
  await subscription.ready;
  watchdogs.at(-1)!();
  assertEquals(await heard.promise, "");
  assertEquals(await Array.fromAsync(subscription), []);
  await subscription.closed;
});

Deno.test("ClientSubscription throws what its callbacks throw", async () => {
  await using server = serveBus();
  const fault = new Error("my fault");
  const fail = () => {
    throw fault;
  };
  const connecting = new Client(server.uri).subscribe("foo", { onConnect: fail });
  assertStrictEquals(await assertRejects(() => Array.fromAsync(connecting)), fault);
  const waiting = new Client(unusedUri()).subscribe("foo", { onReconnect: fail });
  assertStrictEquals(await assertRejects(() => Array.fromAsync(waiting)), fault);
  await Promise.all([connecting.closed, waiting.closed]);
});

/** Answers the handshake of one WebSocket, and then nothing, not even a close. */
async function answerHandshakeOnly(listener: Deno.Listener): Promise<Deno.Conn> {
  const connection = await listener.accept();
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(4096);
  let head = "";
  while (!head.includes("\r\n\r\n")) head += decoder.decode(chunk.subarray(0, (await connection.read(chunk)) ?? 0));
  const key = /^sec-websocket-key: *(.*)\r$/im.exec(head)![1]!;
  // RFC 6455 section 1.3
  const accepted = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const accept = new Uint8Array(await crypto.subtle.digest("SHA-1", accepted)).toBase64();
  const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(answer));
  return connection;
}

Deno.test({
  name: "ClientSubscription.closed resolves though the server never answers the close",
  // The platform keeps its end of the socket until the other one is gone.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = answerHandshakeOnly(listener);
    const deadlines: number[] = [];
    const clock: ClientClock = {
      ...hasty,
      schedule(task, delayMs) {
        if (delayMs === WATCHDOG_MS) return () => {};
        deadlines.push(delayMs);
        return machineClock.schedule(task, 0);
      },
    };
    const { port } = listener.addr as Deno.NetAddr;
    const subscription = new Client(`http://127.0.0.1:${port}`).subscribe("foo", { clock });
    await subscription.ready;
    subscription.close();
    await subscription.closed;
    assertEquals(deadlines, [5_000]);
    (await accepted).close();
  },
});
