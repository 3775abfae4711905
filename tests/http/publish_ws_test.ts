/**
 * Publishing over WebSocket: `?mode=publish`.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import type { Append } from "../../lib/bus/store.ts";
import { SocketPublisher, type SocketPublisherOptions } from "../../lib/http/publish_ws.ts";
import { LaterStore } from "../bus/later_store.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertGreater, assertLess, assertStringIncludes } from "../deps.ts";
import { settled } from "./direct.ts";
import { Connection, HANDSHAKE, joined, serve, type Serving } from "./serving.ts";
import { SlowSocket } from "./slow_socket.ts";
import { Socket } from "./socket.ts";
import { range } from "./streams.ts";

const LINES = { protocols: ["msgbus.ndjson"] } as const;

Deno.test("mode=publish: each frame is a message, text in UTF-8 and bytes as they are, and answered by its receipt", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  const payloads = ["hi", "é😀", "", new Uint8Array(0), Uint8Array.of(0, 0xff, 0xfe, 10)];
  for (const payload of payloads) socket.send(payload);
  for (const [id, payload] of payloads.entries()) {
    const receipt = await socket.next();
    const [epoch] = server.bus.topic("t")!.cursor.split("@").slice(1);
    assertEquals(
      receipt,
      `{"topic":"t","id":${id},"cursor":"${id + 1}@${epoch}","durability":"memory","subscribers":0}`,
    );
    const published = server.bus.get("t")!.payload;
    assertEquals(published, typeof payload === "string" ? new TextEncoder().encode(payload) : payload);
  }
});

Deno.test("mode=publish: with lines a receipt is a line, and the receipts of a frame come together", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
  socket.send(`{"text":"a"}\n{"payload":"Yg=="}\n\n{"json":{"c":[1,null,"é"]}}\r\n`);
  const receipts = (await socket.next())!;
  assertEquals(receipts.split("\n").map((line) => line && JSON.parse(line).id), [0, 1, 2, ""]);
  assertEquals(["a", "b", `{"c":[1,null,"é"]}`], range(0, 3).map(() => server.bus.get("t")!.text()));
});

Deno.test("mode=publish: lines may come in binary frames, and frames=ndjson asks for them, too", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish&frames=ndjson");
  socket.send(new TextEncoder().encode(`{"text":"é"}`));
  assertEquals(JSON.parse((await socket.next())!).id, 0);
  assertEquals(server.bus.get("t")!.text(), "é");
});

/** Lines that say nothing that can be published. */
const MALFORMED: readonly string[] = [
  "x",
  "{",
  "{}",
  "[]",
  "[{}]",
  "null",
  "1",
  `"text"`,
  `{"text":1}`,
  `{"text":null}`,
  `{"payload":1}`,
  `{"payload":["YQ=="]}`,
  `{"payload":"!"}`,
  `{"payload":"a"}`,
  `{"payload":"-_-_"}`,
  `{"payload":"YQ==YQ=="}`,
  `{"text":"a","payload":"YQ=="}`,
  `{"text":"a","json":1}`,
  `{"Text":"a"}`,
  `{"text":"a","topic":"u"}`,
  `{"text":"a","id":7}`,
  `{"__proto__":{"text":"a"}}`,
  `{"constructor":"a"}`,
  `{"data":"YQ=="}`,
  `{"text":"a"}{"text":"b"}`,
  `{"text":"a"},`,
  `\u0000`,
  `{"text":"\n`,
  "[".repeat(10_000),
];

for (const line of MALFORMED) {
  Deno.test(`mode=publish: the line ${JSON.stringify(line.slice(0, 40))} is answered by an error, and the next one works`, async () => {
    await using server = serve();
    await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
    socket.send(`{"text":"before"}\n${line}\n{"text":"after"}`);
    const answers = (await socket.next())!.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(Object.keys(answers[1]), ["error", "message"]);
    assertEquals([answers[0].id, answers[1].error, answers.at(-1).id], [0, "bad_request", 1]);
    assertLess(answers[1].message.length, 300);
    assertEquals(server.bus.topic("t")!.seq, 2);
  });
}

Deno.test("mode=publish: json is kept as JSON, 32 levels deep", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
  const depth = 32;
  for (const json of [`{"a":1}`, "null", `"x"`, "1.5", "[".repeat(depth) + "]".repeat(depth)]) {
    socket.send(`{"json":${json}}`);
    assertEquals(JSON.parse((await socket.next())!).error, undefined);
    assertEquals(server.bus.get("t")!.text(), json);
  }
});

Deno.test("mode=publish: receipts come in the order of frames, though the store answers later", async () => {
  await using server = serve({ store: new LaterStore({ prompt: true }) });
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  for (let i = 0; i < 200; i++) socket.send(`${i}`);
  for (let id = 0; id < 200; id++) {
    const receipt = JSON.parse((await socket.next())!);
    assertEquals([receipt.id, receipt.durability], [id, "synced"]);
    assertEquals((await server.bus.pull("t"))!.text(), `${id}`);
  }
});

Deno.test("mode=publish: an error waits for the receipts before it", async () => {
  const store = new AskedStore();
  await using server = serve({ store });
  await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
  socket.send(`{"text":"a"}`);
  socket.send("nonsense");
  socket.send(`{"text":"b"}`);
  await store.asked(2);
  await store.answer();
  await store.answer();
  const answers = [await socket.next(), await socket.next(), await socket.next()].map((text) => JSON.parse(text!));
  assertEquals(answers.map(({ id, error }) => id ?? error), [0, "bad_request", 1]);
});

Deno.test("mode=publish: a store that fails is a bug that is told, and the socket goes on", async () => {
  const store = new AskedStore();
  await using server = serve({ store });
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  socket.send("a");
  await store.asked(1);
  await store.refuse();
  assertEquals(await socket.next(), `{"error":"internal","message":"Internal error"}`);
  assertEquals(server.bugs.splice(0).map(String), ["Error: the disk is full"]);
  socket.send("b");
  await store.asked(2);
  await store.answer();
  assertEquals(JSON.parse((await socket.next())!).id, 0);
});

Deno.test("mode=publish: what a limit refuses is answered by its code, takes no id and closes nothing", async () => {
  await using server = serve({ maxMessages: 1, discard: "new", maxPayloadBytes: 10 });
  await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
  const ask = async (line: string) => {
    socket.send(line);
    return JSON.parse((await socket.next())!);
  };
  assertEquals((await ask(`{"text":"0123456789!"}`)).error, "too_large");
  assertEquals((await ask(`{"text":"0123456789"}`)).id, 0);
  assertEquals((await ask(`{"text":"b"}`)).error, "topic_full");
  server.bus.get("t");
  assertEquals((await ask(`{"text":"c"}`)).id, 1);
});

Deno.test("mode=publish: a message over the limit closes with 1009, at the limit it is published", async () => {
  await using server = serve({ maxPayloadBytes: 10 });
  for (
    const [fits, over] of [["0123456789", "0123456789!"], [new Uint8Array(10), new Uint8Array(11)], [
      "é".repeat(5),
      "é".repeat(6),
    ]]
  ) {
    await using socket = await Socket.open(server.port, "/t?mode=publish");
    socket.send(fits!);
    assertEquals(JSON.parse((await socket.next())!).error, undefined);
    const { seq } = server.bus.topic("t")!;
    socket.send(over!);
    assertEquals(await socket.closed, { code: 1009, reason: "message too large" });
    assertEquals(server.bus.topic("t")!.seq, seq);
  }
});

Deno.test("mode=publish: fragments are one message, and over the limit together they close with 1009", async () => {
  await using server = serve({ maxPayloadBytes: 10 });
  using connection = await openRaw(server, "/t?mode=publish");
  await connection.write(joined([frameOf(0x02, "01234"), frameOf(0x80, "56789")]));
  const [opcode, length] = await connection.bytes(2);
  assertEquals(opcode, 0x81);
  assertStringIncludes(new TextDecoder().decode(await connection.bytes(length!)), `"id":0`);
  assertEquals(server.bus.get("t")!.text(), "0123456789");
  await connection.write(joined([frameOf(0x02, "01234"), frameOf(0x00, "56789"), frameOf(0x80, "!")]));
  assertEquals((await connection.bytes(4)).slice(2), Uint8Array.of(0x03, 0xf1)); // 1009
  assertEquals(server.bus.topic("t")!.seq, 1);
});

Deno.test("mode=publish: a frame of lines may be longer than a payload, but not without limit", async () => {
  await using server = serve({ maxPayloadBytes: 10 });
  await using socket = await Socket.open(server.port, "/t?mode=publish", LINES);
  socket.send(`{"text":"a"}\n`.repeat(200));
  assertEquals((await socket.next())!.trimEnd().split("\n").length, 200);
  socket.send(`{"text":"a"}\n`.repeat(400));
  assertEquals((await socket.closed).code, 1009);
});

for (
  const [path, status, code] of [
    ["/-/health", 403, "reserved"],
    ["/metrics", 403, "reserved"],
    ["/t/-dead", 403, "reserved"],
    ["/-", 403, "reserved"],
    ["/t,u", 400, "bad_topic"],
    ["/t/*", 400, "bad_topic"],
    ["/t//u", 400, "bad_topic"],
    ["/", 400, "bad_topic"],
    ["/e%CC%81", 400, "not_nfc"],
  ] as const
) {
  Deno.test(`mode=publish: ${path} is refused before there is a socket`, async () => {
    await using server = serve();
    const { status: got, error } = await server.ask(`GET ${path}?mode=publish`, HANDSHAKE);
    assertEquals([got, error], [status, code]);
    assertEquals(server.bus.topics(), []);
  });
}

Deno.test("mode=publish: a page of a foreign origin is refused before there is a socket", async () => {
  await using server = serve();
  const { status, error } = await server.ask("GET /t?mode=publish", { ...HANDSHAKE, origin: "https://evil.example" });
  assertEquals([status, error], [403, "origin_not_allowed"]);
});

Deno.test("mode=publish: a publisher is no subscriber, and hears nothing of others", async () => {
  await using server = serve();
  server.bus.put("t", "before");
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  await using reader = await Socket.open(server.port, "/t");
  server.bus.put("t", "another's");
  assertEquals(await reader.ids(1), [1]);
  socket.send("mine");
  const receipt = JSON.parse((await socket.next())!);
  assertEquals([receipt.id, receipt.subscribers, receipt.payload], [2, 1, undefined]);
  assertEquals(await reader.ids(1), [2]);
  assertEquals(server.bus.totals().subscriptions, 1);
});

Deno.test("mode=publish: draining closes with 1001, after the receipts of everything received", async () => {
  const drain = new AbortController();
  const store = new AskedStore();
  await using server = serve({ store }, { draining: drain.signal });
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  socket.send("a");
  socket.send("b");
  await store.asked(2);
  drain.abort();
  await store.answerAll();
  assertEquals([JSON.parse((await socket.next())!).id, JSON.parse((await socket.next())!).id], [0, 1]);
  assertEquals(await socket.closed, { code: 1001, reason: "the server is shutting down" });
});

Deno.test("mode=publish: a socket that opens while the server drains is closed with 1001", () => {
  const drain = new AbortController();
  const publisher = publish({ draining: drain.signal }, WebSocket.CONNECTING);
  drain.abort();
  publisher.readyState = WebSocket.OPEN;
  publisher.onopen!();
  return settled().then(() => assertEquals(publisher.closeCode, 1001));
});

for (const [when, events] of [["before it opened", []], ["after it opened", ["onopen", "onclose"]]] as const) {
  Deno.test(`mode=publish: nothing is kept of a client that is gone ${when}`, () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    const socket = publish({ draining: signal });
    for (const event of events) socket[event]!();
    assertEquals(listeners, 0);
  });
}

Deno.test("mode=publish: a burst is answered as the client reads, however many receipts that are", async () => {
  const bus = new MessageBus();
  const clock = new TestClock();
  const socket = publish({ bus, clock });
  for (let i = 0; i < 5000; i++) {
    socket.onmessage!({ data: "a" });
    await Promise.resolve();
  }
  for (let i = 0; i < 60 && socket.frames.length < 5000; i++) {
    await settled();
    clock.tick(256);
    socket.read();
  }
  assertEquals(socket.frames.map((frame) => JSON.parse(frame).id), range(0, 5000));
  assertLess(socket.highestAmount, 65 * 1024);
  assertEquals([socket.closeCode, clock.timers], [undefined, 0]);
  await bus.close();
});

Deno.test("mode=publish: a client that reads no receipt for the stall timeout gets all there are, and 1013", async () => {
  const bus = new MessageBus();
  const clock = new TestClock();
  const socket = publish({ bus, clock });
  for (let i = 0; i < 5000; i++) socket.onmessage!({ data: "a" });
  await settled();
  clock.tick(59_000);
  assertEquals([socket.closeCode, socket.frames.length < 1000], [undefined, true]);
  clock.tick(1_500);
  assertEquals([socket.closeCode, socket.onmessage, socket.frames.length], [1013, null, 5000]);
  assertEquals(clock.timers, 0);
  await bus.close();
});

Deno.test("mode=publish: a client for which 16 MiB of receipts wait is closed with 1013, and publishes nothing more", async () => {
  const bus = new MessageBus();
  const socket = publish({ bus, frames: "ndjson" });
  const lines = `{"text":""}\n`.repeat(5000);
  let sent = 0;
  for (; socket.closeCode === undefined && sent < 100; sent++) {
    socket.onmessage?.({ data: lines });
    await settled();
  }
  assertEquals([socket.closeCode, socket.onmessage], [1013, null]);
  assertGreater(sent, 10);
  assertEquals(socket.said.length, bus.topic("t")!.seq);
  await bus.close();
});

Deno.test("mode=publish: a client that sends faster than the store takes is closed with 1013 at 64 MiB", async () => {
  const bus = new MessageBus({ store: new LaterStore() });
  const socket = publish({ bus });
  const payload = new ArrayBuffer(1024 ** 2);
  for (let i = 0; i < 64; i++) socket.onmessage!({ data: payload });
  assertEquals(socket.closeCode, undefined);
  socket.onmessage!({ data: payload });
  assertEquals([socket.closeCode, socket.onmessage], [1013, null]);
  await bus.close();
});

Deno.test("mode=publish: a client that sends much, and reads its receipts, goes on for ever", async () => {
  const bus = new MessageBus({ maxTopicBytes: 4 * 1024 ** 2 });
  const socket = publish({ bus });
  const payload = new ArrayBuffer(1024 ** 2);
  for (let i = 0; i < 100; i++) {
    socket.onmessage!({ data: payload });
    await settled();
    socket.read();
  }
  assertEquals([socket.closeCode, socket.frames.length, bus.topic("t")!.seq], [undefined, 100, 100]);
  await bus.close();
});

Deno.test("mode=publish: a client that vanishes in the middle is no bug, and what it sent is published", async () => {
  const store = new AskedStore();
  await using server = serve({ store });
  const socket = await Socket.open(server.port, "/t?mode=publish");
  socket.send("a");
  await store.asked(1);
  socket.terminate();
  await socket.closed;
  await store.answer();
  assertEquals(server.bus.topic("t")!.seq, 1);
});

/** A store that tells when it has been asked. */
class AskedStore extends LaterStore {
  #asked = 0;
  #bell = Promise.withResolvers<void>();

  override append(append: Append): Promise<number> {
    this.#asked++;
    this.#bell.resolve();
    this.#bell = Promise.withResolvers();
    return super.append(append);
  }

  /** Resolves when it has been asked so often, from the beginning. */
  async asked(count: number): Promise<void> {
    while (this.#asked < count) await this.#bell.promise;
  }
}

/** A socket that publishes to the topic `t`. */
function publish(
  { bus = new MessageBus(), clock = new TestClock(), frames = "plain", draining }: {
    frames?: SocketPublisherOptions["frames"];
    bus?: MessageBus;
    clock?: TestClock;
    draining?: SocketPublisherOptions["draining"];
  },
  readyState: number = WebSocket.OPEN,
): SlowSocket {
  const socket = new SlowSocket();
  socket.readyState = readyState;
  new SocketPublisher(bus, "t", socket as unknown as WebSocket, {
    frames,
    draining,
    stallMs: 60_000,
    clock,
    onRefusal: () => {},
    onBug: (error) => {
      throw error;
    },
  });
  return socket;
}

async function openRaw(server: Serving, path: string): Promise<Connection> {
  const connection = await Connection.open(server.port);
  await connection.write(server.request(`GET ${path}`, HANDSHAKE));
  assertEquals((await connection.answer()).status, 101);
  return connection;
}

/** A frame of a client, masked with zeros. */
function frameOf(finAndOpcode: number, payload: string): Uint8Array {
  return joined([Uint8Array.of(finAndOpcode, 0x80 | payload.length, 0, 0, 0, 0), payload]);
}

Deno.test("mode=publish: a binary frame of lines that is not UTF-8 is refused, and nothing of it is published", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish&frames=ndjson");
  socket.send(new Uint8Array([...new TextEncoder().encode('{"text":"'), 0xff, ...new TextEncoder().encode('"}')]));
  assertEquals(JSON.parse((await socket.next())!).error, "bad_request");
  assertEquals(server.bus.totals().published, 0);
});

Deno.test("mode=publish: a message that is refused is told of, like a request that is", async () => {
  const codes: string[] = [];
  await using server = serve({ maxMessages: 1, discard: "new" }, { onMessageRefused: (code) => void codes.push(code) });
  await using socket = await Socket.open(server.port, "/t?mode=publish");
  for (const payload of ["a", "b"]) socket.send(payload);
  assertEquals([JSON.parse((await socket.next())!).id, JSON.parse((await socket.next())!).error], [0, "topic_full"]);
  assertEquals([codes, server.refusals.map(({ error }) => error.code)], [["topic_full"], ["topic_full"]]);
});

for (
  const [shape, open, close] of [["objects", '{"0":', "}"], ["arrays", "[", "]"], [
    "toJSON",
    '{"toJSON":',
    "}",
  ]] as const
) {
  Deno.test(`mode=publish: json of ${shape} nested deeply is refused, and is no bug`, async () => {
    await using server = serve();
    await using socket = await Socket.open(server.port, "/t?mode=publish&frames=ndjson");
    const nested = (depth: number) => `{"json":${open.repeat(depth)}1${close.repeat(depth)}}`;
    for (const depth of [32, 33, 6000, 100_000]) socket.send(nested(depth));
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(JSON.parse((await socket.next())!));
    assertEquals(answers.map(({ id, error }) => id ?? error), [0, "bad_request", "bad_request", "bad_request"]);
  });
}

Deno.test("mode=publish: a frame of more than 10 000 lines is refused whole", async () => {
  await using server = serve();
  await using socket = await Socket.open(server.port, "/t?mode=publish&frames=ndjson");
  socket.send(`{"text":""}\n`.repeat(10_001));
  assertEquals(JSON.parse((await socket.next())!).error, "bad_request");
  assertEquals(server.bus.totals().published, 0);
});
