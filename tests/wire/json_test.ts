import { MESSAGE_OVERHEAD_BYTES, retainedBytes } from "../../lib/bus/limits.ts";
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
const partsOf = (message: Message) => {
  const { id, topic, payload, createdMs, ttlMs, contentType, key, attempt, lease } = message;
  return { id, topic, payload, createdMs, ttlMs, contentType, headers: { ...message.headers }, key, attempt, lease };
};

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
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: fc.constantFrom("a", '"', "\\", "é", "日", "😀", "\u2028", "<", "'", "\x7f", "%") }),
);
const headers = fc.dictionary(fc.oneof(fc.constantFrom("__proto__", "constructor", "a"), text), text, { minKeys: 1 })
  .map((headers) => Object.assign(Object.create(null), headers) as Record<string, string>);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const attributes = fc.record({ contentType: optional(text), headers: optional(headers), key: optional(text) });
const handout = fc.record({ attempt: fc.integer({ min: 1 }), lease: optional(fc.base64String({ minLength: 1 })) });
const message = fc.record({
  name,
  id,
  topicTtlMs: ttlMs,
  ttlMs: optional(ttlMs),
  topicMs: timeMs,
  createdMs: timeMs,
  payload: fc.uint8Array(),
  attributes: optional(attributes),
  handout: optional(handout),
}).map(({ name, topicTtlMs, topicMs, ...init }) =>
  new Message({ name, ttlMs: topicTtlMs, createdMs: topicMs, epoch: epochOf(topicMs) }, init)
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
      const { id, topic, payload, createdMs, ttlMs, contentType, key, attempt, lease } = message;
      const expected = JSON.stringify({
        id,
        topic: { name: topic.name, ttl: -1, seq: id + 1, created: new Date(topic.createdMs) },
        payload: payload.toBase64(),
        expires: ttlMs === 0 ? "0001-01-01T00:00:00Z" : new Date(createdMs + ttlMs),
        created: new Date(createdMs),
        contentType,
        headers: message.attributes?.headers,
        key,
        attempt,
        lease,
      });
      const ttl = String(BigInt(topic.ttlMs) * 1_000_000n);
      assertEquals(encodeEnvelope(message), expected.replace('"ttl":-1', `"ttl":${ttl}`));
    }),
    { numRuns: 500 },
  );
});

Deno.test("encodeEnvelope writes what the publisher said and that it was handed out, at the end, in this order", () => {
  const { topic, id, payload, createdMs } = seedMessage();
  const attributes = { key: "k", headers: { trace: "1", "msgbus-reply-to": "t" }, contentType: "text/plain" };
  const message = new Message(topic, { id, payload, createdMs, attributes, handout: { attempt: 2, lease: "tok" } });
  assertEquals(
    encodeEnvelope(message),
    SEED.slice(0, -1) +
      ',"contentType":"text/plain","headers":{"trace":"1","msgbus-reply-to":"t"},"key":"k","attempt":2,"lease":"tok"}',
  );
  assertEquals(
    encodeEnvelope(new Message(topic, { id, payload, createdMs, handout: { attempt: 1 } })),
    SEED.slice(0, -1) + ',"attempt":1}',
  );
  assertEquals(encodeEnvelope(new Message(topic, { id, payload, createdMs, attributes: {} })), SEED);
});

Deno.test("encodeEnvelope writes when a message of its own time to live expires", () => {
  const { topic, id, payload, createdMs } = seedMessage();
  const envelopeOf = (ttlMs: number) =>
    JSON.parse(encodeEnvelope(new Message(topic, { id, payload, createdMs, ttlMs })));
  assertEquals([envelopeOf(5).expires, envelopeOf(5).topic.ttl], ["2018-03-25T13:18:38.737Z", 60_000_000_000]);
  assertEquals(envelopeOf(0).expires, NEVER);
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
      const { topic } = message;
      const bytes = new TextEncoder().encode(encodeEnvelope(message)).length;
      assertEquals(envelopeLength(topic, message), bytes);
      assertEquals(retainedBytes(topic, message), bytes + MESSAGE_OVERHEAD_BYTES);
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
  const text = JSON.stringify({ new: { a: 1 }, created, expires, payload, topic: { x: 1, ...topic }, id, keys: "k" });
  assertEquals(partsOf(decodeEnvelope(text)), partsOf(seedMessage()));
});

Deno.test("decodeEnvelope leaves out what is of another type than it should be", () => {
  const more = (members: object) => decodeEnvelope(JSON.stringify({ ...JSON.parse(SEED), ...members }));
  const { contentType, headers, key } = more({ contentType: 1, headers: { a: "b", c: 1, d: null }, key: [] });
  assertEquals([contentType, { ...headers }, key], [undefined, { a: "b" }, undefined]);
  for (const headers of [null, 1, [], {}]) assertEquals({ ...more({ headers }).headers }, {});
  for (const attempt of ["1", 1.5, null, { toString: 1 }]) {
    assertEquals(more({ attempt, lease: "x" }).handout, undefined);
  }
  assertEquals(more({ attempt: 1, lease: 5 }).handout, { attempt: 1, lease: undefined });
  assertEquals(more({ lease: "x" }).handout, undefined);
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
