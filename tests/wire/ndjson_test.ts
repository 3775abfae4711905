import { assertEquals, fc } from "../deps.ts";
import { Message } from "../../lib/message.ts";
import { decodeEnvelope, encodeEnvelope } from "../../lib/wire/json.ts";
import { encodeEvent, encodeLines } from "../../lib/wire/ndjson.ts";

function message(name: string, id: number, payload: Uint8Array): Message {
  return new Message({ name, ttlMs: 0, createdMs: 0, epoch: "0" }, { id, payload, createdMs: 0 });
}

Deno.test("encodeLines writes an envelope a line, each with its line end", () => {
  const messages = ["a", "b"].map((text, id) => message("t", id, new TextEncoder().encode(text)));
  assertEquals(encodeLines(messages), `${encodeEnvelope(messages[0]!)}\n${encodeEnvelope(messages[1]!)}\n`);
  assertEquals(encodeLines([]), "");
});

Deno.test("encodeLines makes as many lines as there are messages, whatever they hold", () => {
  const names = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\n", "a\r\nb", "\u2028", '"}\n{"id":0,"topic":'),
  );
  fc.assert(fc.property(fc.array(fc.tuple(names, fc.uint8Array())), (given) => {
    const messages = given.map(([name, payload], id) => message(name, id, payload));
    const lines = encodeLines(messages).split("\n");
    assertEquals(lines.pop(), "");
    assertEquals(
      lines.map((line) => [decodeEnvelope(line).id, decodeEnvelope(line).payload]),
      given.map(([, payload], id) => [id, payload]),
    );
  }));
});

Deno.test("encodeEvent writes an event on one line, its name and its cursor first", () => {
  assertEquals(
    encodeEvent({ event: "gap", cursor: "3@a", topic: "a\nb", from: 0, to: 2, reason: "expired" }),
    `{"event":"gap","cursor":"3@a","topic":"a\\nb","from":0,"to":2,"reason":"expired"}`,
  );
  assertEquals(encodeEvent({ event: "bye", cursor: "T1" }), `{"event":"bye","cursor":"T1"}`);
});
