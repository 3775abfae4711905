import { epochOf, formatCursor, MAX_ID, Message, parseCursor, type Position } from "../lib/message.ts";
import { assertEquals, assertThrows, fc } from "./deps.ts";

const CREATED_MS = Date.parse("2018-03-25T13:18:38.732Z");
const topic = { name: "hello", ttlMs: 60_000, createdMs: CREATED_MS, epoch: epochOf(CREATED_MS) };
const messageOf = (payload: Uint8Array, more: { ttlMs?: number; id?: number } = {}) =>
  new Message(topic, { id: 0, payload, createdMs: CREATED_MS, ...more });
const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("Message.seq is the id of the next message", () => {
  assertEquals(messageOf(bytesOf(""), { id: 41 }).seq, 42);
});

Deno.test("Message.cursor is the position after it", () => {
  assertEquals(messageOf(bytesOf(""), { id: 41 }).cursor, `42@${CREATED_MS.toString(36)}`);
});

Deno.test("Message.expiresMs follows from the topic's time to live, or its own, and 0 is never", () => {
  assertEquals(messageOf(bytesOf("")).expiresMs, CREATED_MS + 60_000);
  assertEquals(messageOf(bytesOf(""), { ttlMs: 5 }).expiresMs, CREATED_MS + 5);
  assertEquals(messageOf(bytesOf(""), { ttlMs: 0 }).expiresMs, Infinity);
});

Deno.test("Message.text decodes UTF-8, and makes U+FFFD of what is none", () => {
  assertEquals(messageOf(bytesOf("grüß 😀")).text(), "grüß 😀");
  assertEquals(messageOf(new Uint8Array([104, 0xff, 105])).text(), "h\ufffdi");
});

Deno.test("Message.json parses the payload", () => {
  assertEquals(messageOf(bytesOf('{"a":[1]}')).json(), { a: [1] });
  assertThrows(() => messageOf(bytesOf("{")).json(), SyntaxError);
});

Deno.test("epochOf is the base 36 of the milliseconds", () => {
  assertEquals(epochOf(CREATED_MS), "jf6txfnw");
});

const position = fc.oneof(
  fc.record({ next: fc.maxSafeNat() }),
  fc.record({ next: fc.maxSafeNat(), epoch: fc.maxSafeNat().map(epochOf) }),
);

const written = ({ next, epoch }: Position) => formatCursor(next, epoch);

Deno.test("parseCursor undoes formatCursor", () => {
  fc.assert(fc.property(position, (position) => {
    assertEquals(parseCursor(written(position)), { ...position });
  }));
});

Deno.test("parseCursor accepts nothing but what formatCursor writes", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(..."0123456789@az-+. eEx٣\0\n") }),
    fc.mixedCase(position.map(written)),
  );
  fc.assert(fc.property(text, (text) => {
    const position = parseCursor(text);
    if (position !== undefined) assertEquals(written(position), text);
  }));
});

Deno.test("parseCursor reads the largest id and no larger one", () => {
  assertEquals(parseCursor("9007199254740991"), { next: MAX_ID });
  assertEquals(parseCursor("9007199254740992"), undefined);
  assertEquals(parseCursor("9007199254740993"), undefined);
});

// What other readers of numbers would take for one.
const wrong = [
  "",
  "-1",
  "+1",
  "1e3",
  "0x10",
  "٣",
  "１",
  " 1",
  "1 ",
  "1\n",
  "1.0",
  "01",
  "00",
  "Infinity",
  "NaN",
  "1\0",
  "\0",
  "1@",
  "@abc",
  "1@abc@abc",
  "1@ABC",
  "1@a b",
  "1@a\0",
  "1@-abc",
  "1@123456789012",
  "../",
  "../1@abc",
  "1".repeat(17),
  "1".repeat(1024),
  `1@${"a".repeat(1024)}`,
];
for (const text of wrong) {
  Deno.test(`parseCursor refuses ${JSON.stringify(text.length > 20 ? `${text.slice(0, 5)}… (${text.length})` : text)}`, () => {
    assertEquals(parseCursor(text), undefined);
  });
}
