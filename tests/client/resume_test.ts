import { Client } from "../../lib/client/client.ts";
import type { ClientSubscription } from "../../lib/client/subscription.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import type { ControlEvent } from "../../lib/event.ts";
import { epochOf, Message } from "../../lib/message.ts";
import { encodeLines } from "../../lib/wire/ndjson.ts";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../deps.ts";
import { lastingPort } from "../lasting_port.ts";
import { hasty } from "./hasty_clock.ts";
import { serve, serveBus } from "./local_server.ts";

const EPOCH = epochOf(1_521_983_918_732);

/** The lines of messages of a topic with these ids. */
function lines(topic: string, ...ids: number[]): string {
  const info = { name: topic, ttlMs: 0, createdMs: 1_521_983_918_732, epoch: EPOCH };
  return encodeLines(
    ids.map((id) => new Message(info, { id, payload: new Uint8Array(), createdMs: info.createdMs + id })),
  );
}

/** Sends what each connection is to get, in turn, frame by frame, and closes it then; notes how it was asked. */
function serveTurns(...turns: { readonly frames: readonly string[]; readonly code: number }[]) {
  const asked: string[] = [];
  const server = serve((request, _info, upgrade) => {
    if (request.headers.get("upgrade") !== "websocket") return new Response(null, { status: 200 });
    const { pathname, search } = new URL(request.url);
    asked.push(pathname + search);
    const { socket, response } = upgrade(request);
    const { frames, code } = turns.shift() ?? { frames: [], code: 4400 };
    socket.onopen = () => {
      for (const frame of frames) socket.send(frame);
      socket.close(code, "turn over");
    };
    return response;
  });
  return { ...server, asked };
}

/** What a subscription gives, in words, until it ends. */
async function everything(
  client: Client,
  topic: string,
  options: Parameters<Client["subscribe"]>[1] = {},
): Promise<string[]> {
  const said: string[] = [];
  const onEvent = (event: ControlEvent) => {
    if (event.event !== "gap") said.push(event.event);
    else said.push(`gap ${event.topic} ${event.from}-${event.to} ${event.reason}`);
  };
  const subscription = client.subscribe(topic, { clock: hasty, onEvent, ...options });
  for await (const message of subscription) said.push(`${message.topic.name} ${message.id}`);
  await subscription.closed;
  return said;
}

function ids(subscription: ClientSubscription, count: number): Promise<number[]> {
  return (async () => {
    const got: number[] = [];
    for await (const message of subscription) if (got.push(message.id) === count) break;
    return got;
  })();
}

Deno.test("ClientSubscription begins where it is asked to, and tells when it has caught up", async () => {
  await using server = serveBus();
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const client = new Client(server.uri);
  for (
    const [since, expected] of [["earliest", [0, 1, 2]], ["last:2", [1, 2]], ["1", [1, 2]], ["1h", [0, 1, 2]]] as const
  ) {
    const seen: (number | string)[] = [];
    const caughtUp = Promise.withResolvers<void>();
    using subscription = client.subscribe("foo", {
      since,
      onEvent({ event }) {
        seen.push(event);
        if (event === "caught-up") caughtUp.resolve();
      },
    });
    const read = (async () => {
      for await (const { id } of subscription) seen.push(id);
    })();
    await caughtUp.promise;
    subscription.close();
    await read;
    assertEquals(seen, [...expected, "caught-up"], since);
    await subscription.closed;
  }
});

Deno.test("ClientSubscription refuses what is no place to begin, without a connection", () => {
  const client = new Client("http://bus.example");
  const wrong = [["foo", "yesterday"], ["foo", ""], ["foo,bar", "5"], ["foo/*", "5@abc"]] as const;
  for (const [topic, since] of wrong) {
    assertEquals(assertThrows(() => client.subscribe(topic, { since }), BusError).code, "bad_cursor", since);
  }
});

Deno.test("ClientSubscription gives the messages of several topics, and of those that a wildcard matches", async () => {
  await using server = serveBus();
  const client = new Client(server.uri);
  for (
    const [pattern, expected] of [
      ["a/x,b", ["a/x", "b"]],
      ["a/*", ["a/x", "a/ü y"]],
      ["a/**,/c/", ["a/x", "a/ü y", "a/x/deep", "c"]],
    ] as const
  ) {
    const subscription = client.subscribe(pattern);
    await subscription.ready;
    for (const topic of ["a/x", "b", "a/ü y", "a/x/deep", "a", "c"]) server.bus.put(topic, "x");
    const topics: string[] = [];
    for await (const { topic } of subscription) if (topics.push(topic.name) === expected.length) break;
    assertEquals(topics.sort(), [...expected].sort(), pattern);
    await subscription.closed;
  }
});

Deno.test("ClientSubscription goes on behind what was received last, though the reader hasn't got there", async () => {
  const caughtUp = `{"event":"caught-up","cursor":"8@${EPOCH}"}`;
  await using server = serveTurns(
    { frames: [lines("foo", 3, 4) + lines("foo", 5, 6, 7), caughtUp], code: 1011 },
    { frames: [lines("foo", 8)], code: 1011 },
    { frames: [], code: 4404 },
  );
  assertEquals(await everything(new Client(server.uri), "foo", { since: "10m" }), [
    ...["foo 3", "foo 4", "foo 5", "foo 6", "foo 7", "caught-up", "foo 8"],
  ]);
  assertEquals(server.asked, ["/foo?since=10m", `/foo?since=8%40${EPOCH}`, `/foo?since=9%40${EPOCH}`]);
});

Deno.test("ClientSubscription knows its place before any message, and begins as it was told as long as it doesn't", async () => {
  await using server = serveTurns(
    { frames: [], code: 1011 },
    { frames: ['{"event":"caught-up","cursor":"0"}'], code: 1001 },
    { frames: ['{"event":"caught-up","cursor":"0"}'], code: 4404 },
  );
  assertEquals(await everything(new Client(server.uri), "foo"), ["caught-up", "caught-up"]);
  assertEquals(server.asked, ["/foo", "/foo", "/foo?since=0"]);
});

Deno.test("ClientSubscription to several topics goes on at a time, and drops what it has had", async () => {
  await using server = serveTurns(
    { frames: [lines("b", 1) + lines("a", 1, 2)], code: 1011 },
    {
      frames: [
        '{"event":"gap","cursor":"Tz","topic":"b","from":null,"to":1,"reason":"expired"}\n' +
        lines("a", 2) + lines("b", 2),
        '{"event":"gap","cursor":"Tz","topic":"a","from":null,"to":4,"reason":"dropped"}\n' + lines("a", 5),
        '{"event":"deleted","cursor":"Tz","topic":"a"}\n' + lines("a", 0),
      ],
      code: 4404,
    },
  );
  assertEquals(await everything(new Client(server.uri), "b,a", { since: "earliest" }), [
    ...["b 1", "a 1", "a 2", "b 2", "gap a 3-4 dropped", "a 5", "deleted", "a 0"],
  ]);
  const resumed = `T${(parseInt(EPOCH, 36) + 2).toString(36)}`;
  assertEquals(server.asked, ["/b,a?since=earliest", `/b,a?since=${resumed}`]);
});

Deno.test("ClientSubscription to several topics is told that one was deleted, and goes on", async () => {
  await using server = serveBus();
  const events: ControlEvent[] = [];
  using subscription = new Client(server.uri).subscribe("a/*", { onEvent: (event) => void events.push(event) });
  await subscription.ready;
  server.bus.put("a/x", "x");
  const iteration = subscription[Symbol.asyncIterator]();
  await iteration.next();
  await server.bus.delete("a/x");
  server.bus.put("a/y", "y");
  assertEquals((await iteration.next()).value?.topic.name, "a/y");
  assertEquals(events.map(({ event }) => event), ["caught-up", "deleted"]);
  subscription.close();
  await subscription.closed;
});

Deno.test("ClientSubscription ends with its topic, though the connection is lost before the close", async () => {
  await using server = serveTurns({
    frames: [lines("foo", 0) + `{"event":"deleted","cursor":"1@${EPOCH}","topic":"foo"}`],
    code: 1011,
  });
  assertEquals(await everything(new Client(server.uri), "foo"), ["foo 0", "deleted"]);
});

Deno.test("ClientSubscription tells a restart of the server as a gap, and its cursor is behind it", async () => {
  const first = serveBus({}, lastingPort());
  first.bus.put("foo", "a");
  const events: ControlEvent[] = [];
  using subscription = new Client(first.uri).subscribe("foo", {
    clock: hasty,
    since: "earliest",
    onEvent: (event) => void events.push(event),
  });
  const iteration = subscription[Symbol.asyncIterator]();
  assertEquals((await iteration.next()).value?.text(), "a");
  await first.stop();
  await using second = serveBus({}, first.port);
  second.bus.put("foo", "b");
  assertEquals((await iteration.next()).value?.text(), "b");
  assertEquals(events.map(({ event }) => event).filter((event) => event !== "bye"), ["caught-up", "gap"]);
  const gap = events.at(-1)!;
  assertEquals(gap.event === "gap" && [gap.topic, gap.from, gap.to, gap.reason], ["foo", null, null, "reset"]);
  assertEquals(subscription.cursor, second.bus.topic("foo")!.cursor);
  subscription.close();
  await subscription.closed;
});

Deno.test("ClientSubscription.cursor is behind what was handed out, event or message, and begins a later subscription", async () => {
  await using server = serveBus();
  for (const text of ["a", "b", "c"]) server.bus.put("foo", text);
  const client = new Client(server.uri);
  const cursors: (string | undefined)[] = [];
  const first = client.subscribe("foo", { since: "1", onEvent: () => void cursors.push(first.cursor) });
  assertStrictEquals(first.cursor, undefined);
  for await (const message of first) {
    assertEquals(first.cursor, message.cursor);
    break;
  }
  await first.closed;
  assertEquals(await ids(client.subscribe("foo", { since: first.cursor }), 1), [2]);
  const several = client.subscribe("foo,bar", { since: "earliest" });
  assertEquals(await ids(several, 3), [0, 1, 2]);
  await several.closed;
  server.bus.put("bar", "d");
  const later = client.subscribe("foo,bar", { since: several.cursor });
  for await (const { topic } of later) if (topic.name === "bar") break;
  await later.closed;
});

Deno.test("ClientSubscription loses nothing when its reader lags", async () => {
  await using server = serveBus();
  for (let i = 0; i < 500; i++) server.bus.put("foo", `message ${i}`);
  for (const topic of ["foo", "foo,bar"]) {
    const reasons: ErrorCode[] = [];
    const subscription = new Client(server.uri).subscribe(topic, {
      since: "earliest",
      maxBufferedBytes: 100,
      onReconnect: ({ reason }) => void reasons.push(reason.code),
    });
    // Reads only when it has dropped its connection.
    await subscription.ready;
    assertEquals(await ids(subscription, 500), Array.from({ length: 500 }, (_, id) => id));
    assertEquals(reasons.every((code) => code === "overloaded") && reasons.length > 0, true);
    await subscription.closed;
  }
});

Deno.test("ClientSubscription doesn't take a connection for one that worked when it had no message, or was over a limit", async () => {
  const told = { frames: ['{"event":"caught-up","cursor":"0"}'], code: 1011 };
  await using server = serveTurns(
    told,
    { frames: [lines("foo", 0)], code: 1013 },
    { frames: [lines("foo", 1)], code: 1011 },
    told,
    { frames: [], code: 4404 },
  );
  const waits: number[] = [];
  await everything(new Client(server.uri), "foo", { onReconnect: ({ waitMs }) => void waits.push(waitMs) });
  assertEquals(waits, [2_000, 4_000, 2_000, 4_000]);
});

Deno.test("ClientSubscription throws what its onEvent throws", async () => {
  await using server = serveBus();
  const fault = new Error("my fault");
  const subscription = new Client(server.uri).subscribe("foo", {
    onEvent() {
      throw fault;
    },
  });
  assertStrictEquals(await assertRejects(() => Array.fromAsync(subscription)), fault);
  await subscription.closed;
});

Deno.test("ClientSubscription offers its subprotocols, and none to a server that can't stand them", async () => {
  const offers: (string | null)[] = [];
  await using server = serve((request, _info, upgrade) => {
    if (request.headers.get("upgrade") !== "websocket") return new Response(null, { status: 200 });
    const offered = request.headers.get("sec-websocket-protocol");
    offers.push(offered);
    if (offered !== null) return new Response("no", { status: 400 });
    const { socket, response } = upgrade(request);
    socket.onopen = () => {
      for (const envelope of lines("foo", 0, 1).trimEnd().split("\n")) socket.send(envelope);
    };
    return response;
  });
  const subscription = new Client(server.uri).subscribe("foo", { reconnect: false });
  assertEquals(await ids(subscription, 2), [0, 1]);
  assertEquals(offers, ["msgbus.ndjson, msgbus", null]);
  await subscription.closed;
});
