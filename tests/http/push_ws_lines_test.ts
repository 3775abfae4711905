/**
 * Subscribing over WebSocket to lines of NDJSON, and what plain frames never show.
 *
 * @module
 */

import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals } from "../deps.ts";
import { Connection, HANDSHAKE, serve, type Serving } from "./serving.ts";
import { Socket, type SocketOptions } from "./socket.ts";
import { eventsOf, idsOf, range, shapeOf } from "./streams.ts";

const LINES: SocketOptions = { protocols: ["msgbus.ndjson"] };

for (
  const [how, path, options] of [
    ["the subprotocol msgbus.ndjson", "/t", LINES],
    ["frames=ndjson", "/t?frames=ndjson", {}],
    ["frames=ndjson and the subprotocol msgbus", "/t?frames=ndjson", { protocols: ["msgbus"] }],
    ["frames=ndjson and mode=subscribe", "/t?mode=subscribe&frames=ndjson", {}],
  ] as const
) {
  Deno.test(`lines: with ${how} all messages of a turn are lines of one frame`, async () => {
    await using server = serve();
    await using socket = await Socket.open(server.port, path, options);
    assertEquals(shapeOf((await socket.next())!), ["caught-up"]);
    const messages = ["a", "b", "c"].map((payload) => server.bus.put("t", payload));
    assertEquals(await socket.next(), messages.map((message) => `${encodeEnvelope(message)}\n`).join(""));
    const next = server.bus.put("t", "d");
    assertEquals(await socket.next(), `${encodeEnvelope(next)}\n`);
  });
}

/** Subprotocols offered, the one chosen, and whether frames are lines. */
const OFFERS: readonly (readonly [offered: string | undefined, chosen: string | null, lines: boolean])[] = [
  ["msgbus.ndjson", "msgbus.ndjson", true],
  ["msgbus,msgbus.ndjson", "msgbus.ndjson", true],
  ["msgbus.ndjson,msgbus", "msgbus.ndjson", true],
  ["a,msgbus.ndjson,b", "msgbus.ndjson", true],
  ["a, msgbus.ndjson , b", "msgbus.ndjson", true],
  ["msgbus", "msgbus", false],
  ["a,msgbus", "msgbus", false],
  [undefined, null, false],
];

for (const [offered, chosen, lines] of OFFERS) {
  Deno.test(`lines: of the subprotocols ${offered} it picks ${chosen}, and frames are ${lines ? "lines" : "envelopes"}`, async () => {
    await using server = serve();
    server.bus.put("t", "a");
    using connection = await Connection.open(server.port);
    const fields = { ...HANDSHAKE, "sec-websocket-protocol": offered };
    await connection.write(server.request("GET /t?since=0", fields));
    const { status, headers } = await connection.answer();
    assertEquals([status, headers.get("sec-websocket-protocol")], [101, chosen]);
    const [, , high, low] = await connection.bytes(4);
    const frame = new TextDecoder().decode(await connection.bytes(high! * 256 + low!));
    assertEquals(shapeOf(frame), lines ? [0, "caught-up"] : [0]);
    assertEquals(frame.endsWith("\n"), lines);
  });
}

for (const offered of ["msgbus.json", "MSGBUS.NDJSON", "ndjson", "msgbus ndjson", "mqtt, stomp"]) {
  Deno.test(`lines: the subprotocol "${offered}" alone is refused`, async () => {
    await using server = serve();
    const { status, error } = await server.ask("GET /t", { ...HANDSHAKE, "sec-websocket-protocol": offered });
    assertEquals([status, error, server.bus.totals().subscriptions], [400, "unknown_subprotocol", 0]);
  });
}

Deno.test("lines: a message is serialised once for all who read lines, over WebSocket or HTTP", async () => {
  await using server = serve();
  await using one = await Socket.open(server.port, "/t", LINES);
  await using two = await Socket.open(server.port, "/t?frames=ndjson");
  const stream = await fetch(`${server.uri}/t?format=ndjson`);
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (const socket of [one, two]) assertEquals(shapeOf((await socket.next())!), ["caught-up"]);
  assertEquals(shapeOf((await reader.read()).value!), ["caught-up"]);
  let encoded = 0;
  const payload = Object.assign(Uint8Array.of(1, 2, 3), {
    toBase64(this: Uint8Array): string {
      encoded++;
      return Uint8Array.prototype.toBase64.call(this);
    },
  });
  server.bus.put("t", payload);
  const frame = await one.next();
  assertEquals([await two.next(), (await reader.read()).value, encoded], [frame, frame, 1]);
  await reader.cancel();
});

Deno.test("lines: a replay with a gap, byte for byte", async () => {
  await using server = serve({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  const { cursor } = server.bus.topic("t")!;
  const [b, c] = [server.bus.get("t")!, server.bus.get("t")!];
  await using socket = await Socket.open(server.port, "/t?since=0", LINES);
  assertEquals(
    await socket.next(),
    `{"event":"gap","cursor":"${cursor.replace("3", "1")}","topic":"t","from":0,"to":0,"reason":"dropped"}\n` +
      `${encodeEnvelope(b)}\n${encodeEnvelope(c)}\n{"event":"caught-up","cursor":"${cursor}"}\n`,
  );
});

Deno.test("lines: a long replay comes in several frames, in order", async () => {
  await using server = serve();
  for (let i = 0; i < 3_000; i++) server.bus.put("t", new Uint8Array(1_000));
  await using socket = await Socket.open(server.port, "/t?since=earliest", LINES);
  const ids: number[] = [];
  let frames = 0;
  for (; ids.length < 3_000; frames++) ids.push(...idsOf((await socket.next())!));
  assertEquals(ids, range(0, 3_000));
  assert(frames > 10 && frames < 300, String(frames));
});

Deno.test("plain frames: no event ever, neither gap nor caught-up nor deleted", async () => {
  await using server = serve({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  await using one = await Socket.open(server.port, "/t?since=0");
  await using several = await Socket.open(server.port, "/t,u?since=earliest");
  assertEquals([await one.ids(2), await several.ids(2)], [[1, 2], [1, 2]]);
  await server.bus.delete("t");
  server.bus.put("u", "d");
  assertEquals([await one.next(), await several.ids(1)], [undefined, [0]]);
  server.bus.drain();
  assertEquals([await several.next(), (await several.closed).code], [undefined, 1001]);
});

for (const frames of ["", "frames=ndjson&"]) {
  for (
    const [since, lastEventId, ids] of [
      ["0", undefined, [0, 1, 2]],
      ["2", undefined, [2]],
      ["earliest", undefined, [0, 1, 2]],
      ["last:2", undefined, [1, 2]],
      ["1h", undefined, [0, 1, 2]],
      ["0", "1", [1, 2]],
      ["latest", "2", [2]],
      [undefined, "2", [2]],
    ] as const
  ) {
    Deno.test(`${frames || "plain frames"}: since=${since} with Last-Event-ID ${lastEventId} begins with ${ids[0]}`, async () => {
      await using server = serve();
      for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
      const path = `/t?${frames}${since === undefined ? "" : `since=${since}`}`;
      const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
      await using socket = await Socket.open(server.port, path, { headers });
      server.bus.put("t", "d");
      const read: number[] = [];
      while (read.at(-1) !== 3) read.push(...idsOf((await socket.next())!));
      assertEquals(read, [...ids, 3]);
    });
  }
}

for (
  const [pattern, matched] of [
    ["t,u", ["t", "u"]],
    ["*", ["t", "u", "v"]],
    ["t/*", ["t/a"]],
    ["t/**", ["t/a", "t/a/b"]],
    ["**", ["t", "u", "v", "t/a", "t/a/b"]],
    ["t/**,u,u", ["u", "t/a", "t/a/b"]],
  ] as const
) {
  Deno.test(`lines: /${pattern} is told of ${matched.join(", ")}, each message once`, async () => {
    await using server = serve();
    await using socket = await Socket.open(server.port, `/${pattern}`, LINES);
    for (const name of ["t", "u", "t/a", "t/a/b", "v"]) server.bus.put(name, name);
    server.bus.drain();
    const names: string[] = [];
    for (let frame = await socket.next(); frame !== undefined; frame = await socket.next()) {
      names.push(...eventsOf(frame).filter(({ id }) => id !== undefined).map(({ payload }) => atob(String(payload))));
    }
    assertEquals(names.sort(), [...matched].sort());
  });
}

Deno.test("lines: a topic that is deleted is told, then the socket is closed with 4404", async () => {
  await using server = serve();
  const { cursor } = server.bus.put("t", "a");
  await using socket = await Socket.open(server.port, "/t?since=0", LINES);
  assertEquals(shapeOf((await socket.next())!), [0, "caught-up"]);
  await server.bus.delete("t");
  assertEquals(await socket.next(), `{"event":"deleted","cursor":"${cursor}","topic":"t"}\n`);
  assertEquals(await socket.closed, { code: 4404, reason: "the topic was deleted" });
});

Deno.test("lines: of several topics one that is deleted is told, and the socket stays open", async () => {
  await using server = serve();
  server.bus.put("t", "a");
  await using socket = await Socket.open(server.port, "/t,u", LINES);
  assertEquals(shapeOf((await socket.next())!), ["caught-up"]);
  await server.bus.delete("t");
  const { event, topic } = JSON.parse((await socket.next())!);
  assertEquals([event, topic], ["deleted", "t"]);
  server.bus.put("u", "b");
  assertEquals(idsOf((await socket.next())!), [0]);
});

Deno.test("lines: draining says bye with the place to go on from, then closes with 1001", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t", LINES);
  assertEquals(shapeOf((await socket.next())!), ["caught-up"]);
  const { cursor } = server.bus.put("t", "last words");
  server.bus.drain();
  assertEquals(idsOf((await socket.next())!), [0]);
  assertEquals(await socket.next(), `{"event":"bye","cursor":"${cursor}"}\n`);
  assertEquals(await socket.closed, { code: 1001, reason: "the server is shutting down" });
});

Deno.test("lines: a client that reads nothing is told exactly what it has missed when it reads again", async () => {
  await using server = serve({ maxMessages: 20 });
  await using stuck = await Socket.open(server.port, "/t", LINES);
  await using reader = await Socket.open(server.port, "/t");
  stuck.pause();
  const count = await publishUntilDropped(server, reader);
  stuck.resume();
  let next = 0;
  let gaps = 0;
  while (next < count) {
    for (const line of (await stuck.next())!.trimEnd().split("\n").map((line) => JSON.parse(line))) {
      if (line.event === "gap") {
        assertEquals([line.from, line.reason], [next, "dropped"]);
        next = line.to + 1;
        gaps++;
      } else if (line.event === undefined) {
        assertEquals(line.id, next);
        next++;
      }
    }
  }
  assert(gaps > 0);
});

/** Publishes until what a client that reads nothing has not been sent is no longer retained; gives the next id. */
async function publishUntilDropped({ bus }: Serving, reader: Socket): Promise<number> {
  const payload = new Uint8Array(256 * 1024);
  for (let id = 0; id < 60; id++) {
    bus.put("t", payload);
    assertEquals(await reader.ids(1), [id]);
  }
  return 60;
}

Deno.test("lines: a client that reads nothing for the stall timeout is closed with 4408, as far as it listens", async () => {
  const ended = Promise.withResolvers<string>();
  await using server = serve(
    { observer: { unsubscribed: (_subscription, reason) => ended.resolve(reason) } },
    { stallTimeoutMs: 100 },
  );
  await using stuck = await Socket.open(server.port, "/t", LINES);
  stuck.pause();
  for (let id = 0; id < 40; id++) {
    server.bus.put("t", new Uint8Array(512 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assertEquals(await ended.promise, "stalled");
  stuck.resume();
  assertEquals((await stuck.closed).code, 4408);
});
