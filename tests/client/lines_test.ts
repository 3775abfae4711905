import { decodeLine, linesOf } from "../../lib/client/lines.ts";
import { BusError } from "../../lib/errors.ts";
import { Message } from "../../lib/message.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { encodeEvent } from "../../lib/wire/ndjson.ts";
import type { ControlEvent } from "../../lib/event.ts";
import { assertEquals, assertThrows } from "../deps.ts";

Deno.test("linesOf gives the lines of a frame, however it ends, and no empty ones", () => {
  assertEquals(linesOf("a"), ["a"]);
  assertEquals(linesOf("a\n"), ["a"]);
  assertEquals(linesOf("a\nb"), ["a", "b"]);
  assertEquals(linesOf("\n\na\r\n\r\nb\n"), ["a\r", "b"]);
  assertEquals(linesOf(""), []);
});

Deno.test("decodeLine reads envelopes and events", () => {
  const topic = { name: "foo", ttlMs: 0, createdMs: 1_521_983_918_732, epoch: "jf6ooxb0" };
  const message = new Message(topic, { id: 3, payload: new Uint8Array([1]), createdMs: topic.createdMs });
  assertEquals((decodeLine(encodeEnvelope(message)) as Message).id, 3);
  const events: ControlEvent[] = [
    { event: "gap", cursor: "9@a", topic: "foo", from: 3, to: 8, reason: "expired" },
    { event: "gap", cursor: "9@a", topic: "foo", from: null, to: null, reason: "reset" },
    { event: "caught-up", cursor: "0" },
    { event: "deleted", cursor: "Tjf6ooxb0", topic: "foo" },
    { event: "bye", cursor: "9@a" },
  ];
  for (const event of events) {
    assertEquals<unknown>(decodeLine(encodeEvent(event)), event);
    assertEquals<unknown>(decodeLine(`  ${JSON.stringify(event, null, " ").replaceAll("\n", "")}\r`), event);
  }
});

Deno.test("decodeLine accepts members, reasons and events of a newer server", () => {
  const gap = '{"event":"gap","cursor":"9@a","topic":"foo","from":3,"to":8,"reason":"damaged","more":[1]}';
  assertEquals<unknown>(decodeLine(gap), {
    event: "gap",
    cursor: "9@a",
    topic: "foo",
    from: 3,
    to: 8,
    reason: "damaged",
  });
  assertEquals<unknown>(decodeLine('{"event":"lag","cursor":"9@a"}'), { event: "other", cursor: "9@a" });
  assertEquals<unknown>(decodeLine('{"event":7,"cursor":{}}'), { event: "other", cursor: undefined });
});

Deno.test("decodeLine refuses what is neither", () => {
  const wrong = [
    "x",
    "{}",
    '{"event":"gap"',
    '{"event":"caught-up"}',
    '{"event":"deleted","cursor":"0"}',
    '{"event":"gap","cursor":"9@a","topic":"foo","from":"3","to":8,"reason":"expired"}',
    '{"event":"gap","cursor":"9@a","topic":"foo","from":1.5,"to":8,"reason":"expired"}',
  ];
  for (const line of wrong) {
    assertEquals(assertThrows(() => decodeLine(line), BusError).code, "unexpected_answer", line);
  }
});
