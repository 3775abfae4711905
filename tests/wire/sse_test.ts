import { assertEquals, fc } from "../deps.ts";
import type { ControlEvent } from "../../lib/event.ts";
import { Message } from "../../lib/message.ts";
import { decodeEnvelope, encodeEnvelope } from "../../lib/wire/json.ts";
import { encodeRetry, encodeSse, encodeSseEvent } from "../../lib/wire/sse.ts";
import { interpret } from "../http/event_stream.ts";

const CREATED_MS = Date.parse("2018-03-25T13:18:38.732Z");

function message(name: string, payload: Uint8Array): Message {
  const topic = { name, ttlMs: 60_000, createdMs: CREATED_MS, epoch: "jf6ynu4k" };
  return new Message(topic, { id: 41, payload, createdMs: CREATED_MS });
}

Deno.test("encodeSse writes the cursor as id and the envelope as data", () => {
  const hello = message("hello", new TextEncoder().encode("hi"));
  assertEquals(
    encodeSse(hello, hello.cursor),
    `id: 42@jf6ynu4k\ndata: {"id":41,"topic":{"name":"hello","ttl":60000000000,"seq":42,` +
      `"created":"2018-03-25T13:18:38.732Z"},"payload":"aGk=","expires":"2018-03-25T13:19:38.732Z",` +
      `"created":"2018-03-25T13:18:38.732Z"}\n\n`,
  );
});

Deno.test("encodeSseEvent names the event, with its cursor as id and the line of NDJSON as data", () => {
  const events: readonly [ControlEvent, string][] = [
    [
      { event: "gap", cursor: "3@a", topic: "t", from: 0, to: 2, reason: "dropped" },
      `event: gap\nid: 3@a\ndata: {"event":"gap","cursor":"3@a","topic":"t","from":0,"to":2,"reason":"dropped"}\n\n`,
    ],
    [
      { event: "gap", cursor: "0@a", topic: "t", from: null, to: null, reason: "reset" },
      `event: gap\nid: 0@a\ndata: {"event":"gap","cursor":"0@a","topic":"t","from":null,"to":null,"reason":"reset"}\n\n`,
    ],
    [
      { event: "caught-up", cursor: "Tjf6ynu4k" },
      `event: caught-up\nid: Tjf6ynu4k\ndata: {"event":"caught-up","cursor":"Tjf6ynu4k"}\n\n`,
    ],
    [
      { event: "deleted", cursor: "3@a", topic: "t" },
      `event: deleted\nid: 3@a\ndata: {"event":"deleted","cursor":"3@a","topic":"t"}\n\n`,
    ],
    [{ event: "bye", cursor: "3@a" }, `event: bye\nid: 3@a\ndata: {"event":"bye","cursor":"3@a"}\n\n`],
  ];
  for (const [event, text] of events) assertEquals(encodeSseEvent(event), text);
});

Deno.test("encodeRetry says how long to wait and is no event", () => {
  assertEquals(encodeRetry(1234), "retry: 1234\n\n");
  assertEquals(interpret(encodeRetry(1234)), { events: [], retryMs: 1234 });
});

/** What would be an event of its own, or the end of one, if it got out of its line. */
const BREAKERS = [
  "\n",
  "\r",
  "\r\n",
  "\n\n",
  "\0",
  "\ufeff",
  "\u2028",
  "\u0085",
  ": ",
  "\n\nevent: bye\ndata: x\n\n",
  "\nid: 0\n",
];

Deno.test("encodeSse keeps every message in one event, whatever its payload and its topic hold", () => {
  const parts = fc.array(fc.oneof(fc.constantFrom(...BREAKERS), fc.string({ unit: "binary" })), { maxLength: 5 });
  fc.assert(fc.property(parts, parts, (name, payload) => {
    const sent = message(name.join(""), new TextEncoder().encode(payload.join("")));
    const next = message("next", new Uint8Array());
    const { events } = interpret(encodeSse(sent, sent.cursor) + encodeSse(next, next.cursor));
    assertEquals(events, [
      { type: "message", data: encodeEnvelope(sent), lastEventId: "42@jf6ynu4k" },
      { type: "message", data: encodeEnvelope(next), lastEventId: "42@jf6ynu4k" },
    ]);
    assertEquals(decodeEnvelope(events[0]!.data).payload, sent.payload);
  }));
});

Deno.test("encodeSseEvent keeps every event in one event, whatever its topic is called", () => {
  fc.assert(fc.property(fc.constantFrom(...BREAKERS), fc.string({ unit: "binary" }), (breaker, name) => {
    const event: ControlEvent = { event: "deleted", cursor: "3@a", topic: `${name}${breaker}${name}` };
    const { events } = interpret(encodeSseEvent(event));
    assertEquals(events.map(({ type, lastEventId }) => [type, lastEventId]), [["deleted", "3@a"]]);
    assertEquals(JSON.parse(events[0]!.data), event);
  }));
});

Deno.test("interpret reads the examples of the specification", () => {
  assertEquals(
    interpret(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: cut")
      .events,
    [
      { type: "message", data: "first event", lastEventId: "1" },
      { type: "message", data: "second event", lastEventId: "" },
      { type: "message", data: " third event", lastEventId: "" },
    ],
  );
  assertEquals(interpret("\ufeffdata\r\rdata\ndata\r\n\r\ndata:").events.map(({ data }) => data), ["", "\n"]);
});
