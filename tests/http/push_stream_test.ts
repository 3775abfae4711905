/**
 * Subscribing to a stream, of server-sent events or of NDJSON.
 *
 * @module
 */

import { decodeEnvelope, encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals, assertGreater, assertMatch, assertStrictEquals } from "../deps.ts";
import { direct } from "./direct.ts";
import { interpret } from "./event_stream.ts";
import { Connection, serve } from "./serving.ts";
import { EPOCH, FORMATS, idsOf, live, shapeOf } from "./streams.ts";

Deno.test("sse: a replay, byte for byte", async () => {
  await using server = direct({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  const stream = await server.stream("/t?since=0&format=sse");
  assertMatch(await stream.text(), /^retry: [0-9]+\n\n$/);
  server.clock.flush();
  const envelope = (id: number, payload: string) =>
    `{"id":${id},"topic":{"name":"t","ttl":60000000000,"seq":${id + 1},"created":"2018-03-25T13:18:38.732Z"},` +
    `"payload":"${payload}","expires":"2018-03-25T13:19:38.732Z","created":"2018-03-25T13:18:38.732Z"}`;
  assertEquals(
    await stream.text(),
    `event: gap\nid: 1@${EPOCH}\n` +
      `data: {"event":"gap","cursor":"1@${EPOCH}","topic":"t","from":0,"to":0,"reason":"dropped"}\n\n` +
      `id: 2@${EPOCH}\ndata: ${envelope(1, "Yg==")}\n\n` +
      `id: 3@${EPOCH}\ndata: ${envelope(2, "Yw==")}\n\n` +
      `event: caught-up\nid: 3@${EPOCH}\ndata: {"event":"caught-up","cursor":"3@${EPOCH}"}\n\n`,
  );
  await stream.cancel();
});

Deno.test("ndjson: a replay, byte for byte", async () => {
  await using server = direct({ maxMessages: 2 });
  for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
  const stream = await server.stream("/t?since=0&format=ndjson");
  server.clock.flush();
  const [b, c] = [server.bus.get("t")!, server.bus.get("t")!];
  assertEquals(
    await stream.text(),
    `{"event":"gap","cursor":"1@${EPOCH}","topic":"t","from":0,"to":0,"reason":"dropped"}\n` +
      `${encodeEnvelope(b)}\n${encodeEnvelope(c)}\n` +
      `{"event":"caught-up","cursor":"3@${EPOCH}"}\n`,
  );
  await stream.cancel();
});

Deno.test("sse: clients are told to come back after 1 to 5 s, not all at the same time", async () => {
  await using server = direct();
  const retries: number[] = [];
  for (let i = 0; i < 50; i++) {
    const stream = await server.stream("/t?format=sse");
    retries.push(interpret(await stream.text()).retryMs!);
    await stream.cancel();
  }
  assert(retries.every((ms) => ms >= 1000 && ms <= 5000), retries.join());
  assertGreater(new Set(retries).size, 25);
});

for (const format of FORMATS) {
  Deno.test(`${format}: the headers of a stream`, async () => {
    await using server = direct();
    const answer = await server.get(`/t?format=${format}`, { origin: "http://localhost:5173" });
    assertEquals(Object.fromEntries(answer.headers), {
      "access-control-allow-origin": "http://localhost:5173",
      "cache-control": "no-store",
      "content-type": format === "sse" ? "text/event-stream" : "application/x-ndjson",
      "vary": "origin",
      "x-accel-buffering": "no",
      "x-content-type-options": "nosniff",
    });
    await answer.body!.cancel();
  });

  Deno.test(`${format}: a page of a foreign origin is refused and not subscribed`, async () => {
    await using server = direct();
    const { status, headers } = await server.get(`/t?format=${format}`, { origin: "https://evil.example" });
    assertEquals([status, headers.get("access-control-allow-origin")], [403, null]);
    assertEquals(server.subscribed.length, 0);
  });

  Deno.test(`${format}: a page of an allowed origin may read the stream`, async () => {
    await using server = direct({}, { allowOrigins: ["https://app.example"] });
    const answer = await server.get(`/t?format=${format}`, { origin: "https://app.example" });
    assertEquals(answer.headers.get("access-control-allow-origin"), "https://app.example");
    await answer.body!.cancel();
  });

  Deno.test(`${format}: all messages of a turn come in one chunk, those of the next in another`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
    server.clock.flush();
    server.bus.put("t", "d");
    server.clock.flush();
    assertEquals(idsOf(await stream.text()), [0, 1, 2]);
    assertEquals(idsOf(await stream.text()), [3]);
    await stream.cancel();
  });

  Deno.test(`${format}: subscribers at the same position are given the same bytes, not equal ones`, async () => {
    await using server = direct();
    const streams = [await live(server, format), await live(server, format), await live(server, format)];
    for (let turn = 0; turn < 3; turn++) {
      server.bus.put("t", "a");
      server.bus.put("t", "b");
      server.clock.flush();
      const [first, ...others] = await Promise.all(streams.map((stream) => stream.next()));
      for (const other of others) assertStrictEquals(other, first);
    }
    await Promise.all(streams.map((stream) => stream.cancel()));
  });

  for (const pattern of ["t,u", "*", "**"]) {
    Deno.test(`${format}: subscribers to /${pattern} share bytes, too`, async () => {
      await using server = direct();
      const streams = [await live(server, format, pattern), await live(server, format, pattern)];
      server.bus.put("t", "a");
      server.clock.flush();
      const [first, second] = await Promise.all(streams.map((stream) => stream.next()));
      assertStrictEquals(first, second);
      await Promise.all(streams.map((stream) => stream.cancel()));
    });
  }

  Deno.test(`${format}: a message is serialised once, however many read it`, async () => {
    await using server = direct();
    const streams = await Promise.all(Array.from({ length: 20 }, () => live(server, format)));
    let encoded = 0;
    const payload = Object.assign(Uint8Array.of(1, 2, 3), {
      toBase64(this: Uint8Array): string {
        encoded++;
        return Uint8Array.prototype.toBase64.call(this);
      },
    });
    server.bus.put("t", payload);
    server.clock.flush();
    for (const stream of streams) assertEquals(idsOf(await stream.text()), [0]);
    assertEquals(encoded, 1);
    await Promise.all(streams.map((stream) => stream.cancel()));
  });

  Deno.test(`${format}: a payload and a topic of any characters are one message, unchanged`, async () => {
    await using server = direct();
    const name = `x": 1 "y":"/</script>/event: bye/data: x/😀`;
    const payloads = ["\n", "\r", "\r\n", "\0", "\ufeff", "\n\nevent: bye\ndata: x\n\n", "\u2028", "", "\ud83d"]
      .map((text) => new TextEncoder().encode(text));
    payloads.push(Uint8Array.from({ length: 256 }, (_, i) => i));
    const stream = await live(server, format, encodeURIComponent(name).replaceAll("%2F", "/"));
    for (const payload of payloads) server.bus.put(name, payload);
    server.clock.flush();
    const text = await stream.text();
    const lines = format === "ndjson"
      ? text.trimEnd().split("\n")
      : interpret(text).events.map(({ type, data, lastEventId }, id) => {
        assertEquals([type, lastEventId], ["message", `${id + 1}@${EPOCH}`]);
        return data;
      });
    const messages = lines.map(decodeEnvelope);
    assertEquals(messages.map(({ payload }) => payload), payloads);
    assertEquals(new Set(messages.map(({ topic }) => topic.name)), new Set([name]));
    await stream.cancel();
  });

  Deno.test(`${format}: what is published between the answer and the first chunk comes once, and what came before it, too`, async () => {
    await using server = direct();
    for (const payload of ["a", "b"]) server.bus.put("t", payload);
    const stream = await server.stream(`/t?format=${format}&since=0`);
    server.bus.put("t", "c");
    server.clock.flush();
    server.bus.put("t", "d");
    server.clock.flush();
    if (format === "sse") await stream.text();
    assertEquals(shapeOf(await stream.text() + await stream.text()), [0, 1, 2, "caught-up", 3]);
    await stream.cancel();
  });

  Deno.test(`${format}: a topic that does not exist yet is waited for, from its first message on`, async () => {
    await using server = direct();
    for (const since of ["latest", "earliest", "0", "last:1"]) {
      const stream = await live(server, format, "later", `&since=${since}`);
      assertEquals(server.bus.topics(), []);
      server.bus.put("later", "a");
      server.clock.flush();
      assertEquals(idsOf(await stream.text()), [0]);
      await stream.cancel();
      await server.bus.delete("later");
    }
  });

  Deno.test(`${format}: deleting the topic is told after what was published before, then the stream ends`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    server.bus.put("t", "a");
    server.clock.flush();
    await server.bus.delete("t");
    assertEquals(idsOf(await stream.text()), [0]);
    const line = `{"event":"deleted","cursor":"1@${EPOCH}","topic":"t"}`;
    assertEquals(
      await stream.text(),
      format === "sse" ? `event: deleted\nid: 1@${EPOCH}\ndata: ${line}\n\n` : `${line}\n`,
    );
    assertEquals([await stream.next(), server.ended], [undefined, ["deleted"]]);
  });

  Deno.test(`${format}: of several topics one that is deleted is told, and the stream goes on`, async () => {
    await using server = direct();
    const stream = await live(server, format, "t,u");
    server.bus.put("t", "a");
    server.clock.flush();
    await server.bus.delete("t");
    server.clock.flush();
    server.bus.put("u", "b");
    server.clock.flush();
    assertEquals(shapeOf(await stream.text() + await stream.text() + await stream.text()), [0, "deleted", 0]);
    await stream.cancel();
  });

  Deno.test(`${format}: draining says bye after what was published before, then the stream ends`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    server.bus.put("t", "last words");
    server.bus.drain();
    assertEquals(idsOf(await stream.text()), [0]);
    const line = `{"event":"bye","cursor":"1@${EPOCH}"}`;
    assertEquals(await stream.text(), format === "sse" ? `event: bye\nid: 1@${EPOCH}\ndata: ${line}\n\n` : `${line}\n`);
    assertEquals([await stream.next(), server.ended], [undefined, ["drained"]]);
  });

  Deno.test(`${format}: a client that leaves is no subscriber any more, and its timer stops`, async () => {
    await using server = direct();
    const stream = await live(server, format);
    assertEquals([server.bus.totals().subscriptions, server.clock.timers], [1, 1]);
    await stream.cancel();
    assertEquals([server.bus.totals().subscriptions, server.clock.timers, server.ended], [0, 0, ["closed"]]);
    server.bus.put("t", "a");
    server.clock.flush();
  });

  Deno.test(`${format}: a client that vanishes is no subscriber any more`, async () => {
    const left = Promise.withResolvers<void>();
    await using server = serve({ observer: { unsubscribed: () => left.resolve() } });
    const connection = await Connection.open(server.port);
    await connection.write(server.request(`GET /t?format=${format}`));
    await connection.bytes(1);
    assertEquals(server.bus.totals().subscriptions, 1);
    connection[Symbol.dispose]();
    await left.promise;
    assertEquals(server.bus.totals().subscriptions, 0);
  });

  Deno.test(`${format}: the head of the answer comes before there is anything to say`, async () => {
    await using server = serve();
    const answer = await fetch(`${server.uri}/t?format=${format}`);
    assertEquals([answer.status, server.bus.totals().subscriptions], [200, 1]);
    await answer.body!.cancel();
  });

  Deno.test(`${format}: a stream that is drained ends as HTTP says it must, not with a cut`, async () => {
    await using server = serve();
    const answer = await fetch(`${server.uri}/t?format=${format}`);
    server.bus.put("t", "a");
    server.bus.drain();
    assertEquals(shapeOf(await answer.text()), ["caught-up", 0, "bye"]);
  });

  Deno.test(`${format}: no message that is published after the answer has begun is missed, round after round`, async () => {
    await using server = serve();
    for (let round = 0; round < 50; round++) {
      const answer = await fetch(`${server.uri}/t?format=${format}`);
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      const { id } = server.bus.put("t", "a");
      for (let text = ""; !idsOf(text).includes(id);) text += (await reader.read()).value;
      await reader.cancel();
    }
  });
}

Deno.test("sse: those who read one topic and those who read it among others get the same messages, each with ids of its own", async () => {
  await using server = direct();
  const [one, several] = [await live(server, "sse"), await live(server, "sse", "t,u")];
  server.bus.put("t", "a");
  server.clock.flush();
  const [[a], [b]] = [interpret(await one.text()).events, interpret(await several.text()).events];
  assertEquals([a!.lastEventId, b!.lastEventId], [`1@${EPOCH}`, `T${EPOCH}`]);
  assertEquals(a!.data, b!.data);
  await Promise.all([one.cancel(), several.cancel()]);
});

Deno.test("sse: the ids of several topics are times, and resume without a loss", async () => {
  await using server = direct({ ttlMs: 0 });
  const first = await live(server, "sse", "t,u");
  for (const topic of ["t", "u", "t", "u"]) {
    server.bus.put(topic, topic);
    server.clock.tick(1);
    server.clock.flush();
  }
  const { events } = interpret(await first.text() + await first.text());
  assertEquals(events.map(({ lastEventId }) => lastEventId), ["Tjf6txfnw", "Tjf6txfnx"]);
  await first.cancel();
  const again = await server.stream("/t,u?format=sse", { "last-event-id": "Tjf6txfnx" });
  server.clock.flush();
  await again.text();
  const names = interpret(await again.text()).events.filter(({ type }) => type === "message")
    .map(({ data }) => decodeEnvelope(data)).map(({ topic, id }) => `${topic.name}${id}`);
  assertEquals(names, ["u0", "t1", "u1"]);
  await again.cancel();
});
