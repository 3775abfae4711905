import { MESSAGE_OVERHEAD_BYTES } from "../../lib/bus/limits.ts";
import { retainedBytes } from "../../lib/bus/topic.ts";
import { epochOf, MAX_ID, Message } from "../../lib/message.ts";
import { decodeEnvelope, encodeEnvelope, envelopeLength, NEVER } from "../../lib/wire/json.ts";
import { codeOf } from "../bus/error_code.ts";
import { assertEquals, assertThrows, fc } from "../deps.ts";

/** The example of the wire format, byte for byte. */
const SEED =
  '{"id":0,"topic":{"name":"hello","ttl":60000000000,"seq":1,"created":"2018-03-25T13:18:38.732Z"},"payload":"eyJtZXNzYWdlIjogImhlbGxvIn0=","expires":"2018-03-25T13:19:38.732Z","created":"2018-03-25T13:18:38.732Z"}';
const SEED_MS = Date.parse("2018-03-25T13:18:38.732Z");

function seedMessage(): Message {
  const topic = { name: "hello", ttlMs: 60_000, createdMs: SEED_MS, epoch: epochOf(SEED_MS) };
  const payload = new TextEncoder().encode('{"message": "hello"}');
  return new Message(topic, { id: 0, payload, createdMs: SEED_MS });
}

/** Every property of a message, to compare. */
const partsOf = ({ id, topic, payload, createdMs, ttlMs }: Message) => ({ id, topic, payload, createdMs, ttlMs });

const MAX_TTL_MS = 9_223_372_036_854;
const ttlMs = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: MAX_TTL_MS }));
const timeMs = fc.integer({ min: 0, max: Date.parse("2400-01-01T00:00:00Z") });
const name = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1 }),
  fc.string({ unit: fc.constantFrom("a", '"', "\\", "é", "日", "😀", "/", "<", "'", "\x7f"), minLength: 1 }),
);
const id = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 8, 9, 10, 98, 99, 100, 999, 1000, 99_999, 1e10 - 1, 1e15 - 2, 1e15 - 1, 1e15, MAX_ID - 1),
);
const message = fc.record({ name, id, ttlMs, topicMs: timeMs, createdMs: timeMs, payload: fc.uint8Array() }).map(
  ({ name, id, ttlMs, topicMs, createdMs, payload }) =>
    new Message({ name, ttlMs, createdMs: topicMs, epoch: epochOf(topicMs) }, { id, payload, createdMs }),
);

Deno.test("encodeEnvelope writes the example of the wire format byte for byte", () => {
  assertEquals(encodeEnvelope(seedMessage()), SEED);
});

Deno.test("encodeEnvelope writes Go's zero time and ttl 0 for a message that never expires", () => {
  const topic = { name: "hello", ttlMs: 0, createdMs: SEED_MS, epoch: epochOf(SEED_MS) };
  assertEquals(
    encodeEnvelope(new Message(topic, { id: 9, payload: new Uint8Array(), createdMs: SEED_MS + 5 })),
    '{"id":9,"topic":{"name":"hello","ttl":0,"seq":10,"created":"2018-03-25T13:18:38.732Z"},"payload":"","expires":"0001-01-01T00:00:00Z","created":"2018-03-25T13:18:38.737Z"}',
  );
  assertEquals(NEVER, "0001-01-01T00:00:00Z");
});

Deno.test("encodeEnvelope writes a topic name as data, whatever is in it", () => {
  const names = ['x","admin":true,"y":"', "</script><img src=x>", "日本\\", "__proto__"];
  for (const name of names) {
    const topic = { name, ttlMs: 0, createdMs: 0, epoch: "0" };
    const envelope = JSON.parse(encodeEnvelope(new Message(topic, { id: 0, payload: new Uint8Array(), createdMs: 0 })));
    assertEquals(Object.keys(envelope), ["id", "topic", "payload", "expires", "created"]);
    assertEquals(Object.keys(envelope.topic), ["name", "ttl", "seq", "created"]);
    assertEquals(envelope.topic.name, name);
  }
});

Deno.test("encodeEnvelope writes what JSON.stringify writes", () => {
  fc.assert(
    fc.property(message, (message) => {
      const { id, topic, payload, createdMs, ttlMs } = message;
      const expected = JSON.stringify({
        id,
        topic: { name: topic.name, ttl: -1, seq: id + 1, created: new Date(topic.createdMs) },
        payload: payload.toBase64(),
        expires: ttlMs === 0 ? "0001-01-01T00:00:00Z" : new Date(createdMs + ttlMs),
        created: new Date(createdMs),
      });
      const ttl = String(BigInt(topic.ttlMs) * 1_000_000n);
      assertEquals(encodeEnvelope(message), expected.replace('"ttl":-1', `"ttl":${ttl}`));
    }),
    { numRuns: 500 },
  );
});

Deno.test("encodeEnvelope writes times right whatever time it wrote before", () => {
  const topic = { name: "hello", ttlMs: 1000, createdMs: SEED_MS, epoch: epochOf(SEED_MS) };
  fc.assert(fc.property(fc.array(fc.nat(5000), { minLength: 2 }), (offsets) => {
    for (const offset of offsets) {
      const createdMs = SEED_MS + offset;
      const envelope = JSON.parse(
        encodeEnvelope(new Message(topic, { id: 0, payload: new Uint8Array(), createdMs })),
      );
      assertEquals(envelope.created, new Date(createdMs).toISOString());
      assertEquals(envelope.expires, new Date(createdMs + 1000).toISOString());
    }
  }));
});

Deno.test("envelopeLength is the length of the envelope in bytes of UTF-8", () => {
  fc.assert(
    fc.property(message, (message) => {
      const { id, topic, payload, ttlMs } = message;
      const bytes = new TextEncoder().encode(encodeEnvelope(message)).length;
      assertEquals(envelopeLength(topic, { id, payload, ttlMs, attributes: undefined }), bytes);
      assertEquals(retainedBytes(topic, { id, payload, ttlMs, attributes: undefined }), bytes + MESSAGE_OVERHEAD_BYTES);
    }),
    { numRuns: 500 },
  );
});

Deno.test("decodeEnvelope undoes encodeEnvelope", () => {
  fc.assert(
    fc.property(message, (message) => {
      assertEquals(partsOf(decodeEnvelope(encodeEnvelope(message))), partsOf(message));
    }),
    { numRuns: 500 },
  );
});

Deno.test("decodeEnvelope reads the example of the wire format", () => {
  const message = decodeEnvelope(SEED);
  assertEquals(partsOf(message), partsOf(seedMessage()));
  assertEquals(message.json(), { message: "hello" });
});

Deno.test("decodeEnvelope reads what the original writes: nanoseconds, a zone, a null payload, no expiry", () => {
  const message = decodeEnvelope(
    '{"id":3,"topic":{"name":"foo","ttl":0,"seq":4,"created":"2018-05-07T23:14:03.527134+02:00"},"payload":null,"created":"2018-05-07T23:14:04.123456789+02:00"}',
  );
  assertEquals(message.createdMs, Date.parse("2018-05-07T21:14:04.123Z"));
  assertEquals(message.topic.createdMs, Date.parse("2018-05-07T21:14:03.527Z"));
  assertEquals({ length: message.payload.length, ttlMs: message.ttlMs }, { length: 0, ttlMs: 0 });
});

Deno.test("decodeEnvelope ignores members it doesn't know, in any order", () => {
  const { id, topic, payload, expires, created } = JSON.parse(SEED);
  const text = JSON.stringify({ new: { a: 1 }, created, expires, payload, topic: { x: 1, ...topic }, id, key: "k" });
  assertEquals(partsOf(decodeEnvelope(text)), partsOf(seedMessage()));
});

const edited = (edit: (envelope: Record<string, unknown>, topic: Record<string, unknown>) => void): string => {
  const envelope = JSON.parse(SEED);
  edit(envelope, envelope.topic);
  return JSON.stringify(envelope);
};
const garbage: Record<string, string> = {
  "nothing": "",
  "no JSON": "<html>",
  "half an envelope": SEED.slice(0, 100),
  "null": "null",
  "a number": "1",
  "a list": "[]",
  "another object": '{"error":"empty"}',
  "a negative id": edited((envelope) => envelope.id = -1),
  "a fractional id": edited((envelope) => envelope.id = 0.5),
  "an id too large": edited((envelope) => envelope.id = 2 ** 53),
  "an id that is a text": edited((envelope) => envelope.id = "0"),
  "no topic": edited((envelope) => delete envelope.topic),
  "a topic without a name": edited((_, topic) => delete topic.name),
  "a topic name that is a number": edited((_, topic) => topic.name = 1),
  "a ttl that is a text": edited((_, topic) => topic.ttl = "60s"),
  "no time": edited((envelope) => delete envelope.created),
  "a time that is none": edited((envelope) => envelope.created = "yesterday"),
  "a topic's time that is none": edited((_, topic) => topic.created = 5),
  "an expiry that is none": edited((envelope) => envelope.expires = "never"),
  "a payload that is not base64": edited((envelope) => envelope.payload = "!"),
  "a payload that is a number": edited((envelope) => envelope.payload = 5),
};
for (const [what, text] of Object.entries(garbage)) {
  Deno.test(`decodeEnvelope refuses ${what} with unexpected_answer`, () => {
    assertEquals(codeOf(() => decodeEnvelope(text)), "unexpected_answer");
  });
}

Deno.test("decodeEnvelope refuses any garbage with unexpected_answer and nothing else", () => {
  fc.assert(fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
    assertEquals(codeOf(() => decodeEnvelope(text)), "unexpected_answer");
  }));
});

Deno.test("decodeEnvelope shows what it saw in one line, and keeps the cause", () => {
  assertThrows(() => decodeEnvelope("<html>\n"), Error, 'Cannot read a message: "<html>\\n"');
  try {
    decodeEnvelope(edited((envelope) => envelope.id = -1));
  } catch (error) {
    assertEquals(((error as Error).cause as Error).message, "id is -1");
  }
});
