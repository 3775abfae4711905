import type { GroupChange } from "../../lib/bus/store.ts";
import { ByteReader, ByteWriter } from "../../lib/store/bytes.ts";
import {
  CHANGE,
  combineChanges,
  combineDrops,
  decodeAttributes,
  encodeAttributes,
  readAppend,
  readDelayed,
  readDrop,
  readGroupChange,
  readInfo,
  writeAppend,
  writeDelayed,
  writeDrop,
  writeGroupChange,
  writeInfo,
} from "../../lib/store/changes.ts";
import { decodeHead, EntryWriter, readRecords } from "../../lib/store/entries.ts";
import { IdRanges, rangesOf } from "../../lib/store/id_ranges.ts";
import { EntryIndex, type EntryPlace } from "../../lib/store/journal_topic.ts";
import { decodeMessages, writeMessage } from "../../lib/store/read_back.ts";
import { ANSWER, GROUP, HOLE, STATE, TOPIC, UNACKED } from "../../lib/store/rows.ts";
import { assert, assertEquals, assertThrows, fc } from "../deps.ts";
import { topicOf } from "./journals.ts";

/** Objects as they are written in a program. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const id = fc.oneof(fc.nat(300), fc.maxSafeNat());
const timeMs = fc.integer({ min: -8.64e15, max: 8.64e15 });
const text = fc.string({ unit: "grapheme" });
const payload = fc.uint8Array({ maxLength: 300 });
const attributes = record({
  contentType: fc.option(text, { nil: undefined }),
  headers: fc.option(fc.dictionary(text, text).map((headers) => Object.assign(Object.create(null), headers)), {
    nil: undefined,
  }),
  key: fc.option(text, { nil: undefined }),
});
const counts = record({ acked: id, dead: id, lost: id });
const unacked = record({
  id,
  attempt: id,
  notBeforeMs: fc.option(timeMs, { nil: undefined }),
  key: fc.option(text, { nil: undefined }),
  reason: fc.option(text, { nil: undefined }),
});
const change = record({ group: text, next: id, unacked: fc.array(unacked), done: fc.array(id), counts });
const idempotency = record({ key: text, fingerprint: text, untilMs: timeMs });
const limit = fc.option(record({ id, createdMs: timeMs }), { nil: undefined });
const dropped = record({
  before: id,
  ids: fc.uniqueArray(id).map((ids) => ids.sort((a, b) => a - b)),
  lostMs: fc.oneof(timeMs, fc.constant(-Infinity)),
  limit,
});

/** What is read after something was written. */
function through<T>(write: (to: ByteWriter) => void, read: (from: ByteReader) => T): T {
  const to = new ByteWriter();
  write(to);
  const from = new ByteReader(new Uint8Array(to.finish()));
  const value = read(from);
  assert(from.done);
  return value;
}

Deno.test("ByteReader reads what ByteWriter wrote, however long", () => {
  const part = fc.oneof(
    fc.tuple(fc.constant("whole" as const), fc.maxSafeNat()),
    fc.tuple(fc.constant("whole" as const), fc.nat(300)),
    fc.tuple(fc.constant("double" as const), fc.double()),
    fc.tuple(fc.constant("uint32" as const), fc.nat(2 ** 32 - 1)),
    fc.tuple(fc.constant("byte" as const), fc.nat(255)),
    fc.tuple(fc.constant("text" as const), text),
    fc.tuple(fc.constant("bytes" as const), payload),
  );
  fc.assert(fc.property(fc.array(part, { maxLength: 100 }), (parts) => {
    const read = through((to) => {
      for (const [kind, value] of parts) (to[kind] as (value: unknown) => void)(value);
    }, (from) => parts.map(([kind]) => from[kind]()));
    assertEquals(read, parts.map(([, value]) => value));
  }));
});

Deno.test("ByteReader throws at the end, and for a number that is too long", () => {
  const from = (...bytes: number[]) => new ByteReader(new Uint8Array(bytes));
  assertThrows(() => from().byte(), RangeError);
  assertThrows(() => from(1, 2, 3).uint32(), RangeError);
  assertThrows(() => from(128).whole(), RangeError);
  assertThrows(() => from(...Array(9).fill(255), 1).whole(), RangeError);
  assertThrows(() => from(...Array(20).fill(255)).whole(), RangeError);
  assertThrows(() => from(3, 1, 2).bytes(), RangeError);
});

Deno.test("attributes come back as they were, without a prototype that could give names a meaning", () => {
  fc.assert(fc.property(fc.option(attributes, { nil: undefined }), (given) => {
    assertEquals(decodeAttributes(encodeAttributes(given)), given);
  }));
  const headers = decodeAttributes(encodeAttributes({ headers: { a: "b" } }))!.headers!;
  assertEquals([Object.getPrototypeOf(headers), "toString" in headers], [null, false]);
});

Deno.test("changes come back as they were", () => {
  const append = record({
    createdMs: timeMs,
    ttlMs: fc.option(id, { nil: undefined }),
    attributes: fc.option(attributes, { nil: undefined }),
    idempotency: fc.option(idempotency, { nil: undefined }),
    drops: fc.option(id.map((id) => ({ topic: topicOf("dropped"), id })), { nil: undefined }),
    settles: fc.option(change.map((change) => ({ topic: topicOf("settled"), change })), { nil: undefined }),
    scheduled: fc.option(text, { nil: undefined }),
    payloads: fc.array(payload, { minLength: 1, maxLength: 5 }),
  });
  fc.assert(fc.property(append, id, (append, firstId) => {
    const numbers: Record<string, number> = { dropped: 7, settled: 8 };
    const topic = topicOf("foo");
    const read = through(
      (to) => writeAppend(to, 300, firstId, { ...append, topic, expectedId: 0 }, ({ name }) => numbers[name]!),
      (from) => {
        assertEquals([from.byte(), from.whole()], [CHANGE.append, 300]);
        return readAppend(from);
      },
    );
    const { drops, settles } = append;
    assertEquals(read, {
      ...append,
      firstId,
      attributes: encodeAttributes(append.attributes),
      drops: drops && { topic: 7, id: drops.id },
      settles: settles && { topic: 8, change: settles.change },
    });
  }));
  fc.assert(fc.property(change, (change) => {
    assertEquals(through((to) => writeGroupChange(to, change), readGroupChange), change);
  }));
  fc.assert(fc.property(dropped, (dropped) => {
    const read = through((to) => writeDrop(to, 1, dropped), (from) => {
      assertEquals([from.byte(), from.whole()], [CHANGE.drop, 1]);
      return readDrop(from);
    });
    assertEquals(read, dropped);
  }));
  const delayed = record({
    token: text,
    dueMs: timeMs,
    payload,
    ttlMs: fc.option(id, { nil: undefined }),
    attributes: fc.option(attributes, { nil: undefined }),
    idempotency: fc.option(idempotency, { nil: undefined }),
  });
  fc.assert(fc.property(delayed, (delayed) => {
    assertEquals(through((to) => writeDelayed(to, delayed), readDelayed), delayed);
  }));
  const info = topicOf("päth/ö");
  assertEquals(through((to) => writeInfo(to, info), readInfo), info);
});

Deno.test("combineChanges says of every message what the changes one after the other say", () => {
  const few = fc.nat(8);
  const small = record({
    group: fc.constant("g"),
    next: few,
    unacked: fc.uniqueArray(record({ id: few, attempt: fc.nat() }), { selector: ({ id }) => id }),
    done: fc.uniqueArray(few),
    counts,
  });
  fc.assert(fc.property(fc.array(small, { minLength: 1, maxLength: 5 }), (changes) => {
    const apply = (changes: readonly GroupChange[]) => {
      const left = new Map<number, number>();
      for (const { unacked, done } of changes) {
        for (const { id, attempt } of unacked) left.set(id, attempt);
        for (const id of done) left.delete(id);
      }
      return [[...left].sort(([a], [b]) => a - b), changes.at(-1)!.next, changes.at(-1)!.counts];
    };
    assertEquals(apply([combineChanges(changes)]), apply(changes));
  }));
});

Deno.test("combineDrops drops what both drop", () => {
  const small = record({
    before: fc.nat(10),
    ids: fc.uniqueArray(fc.nat(20)).map((ids) => ids.sort((a, b) => a - b)),
    lostMs: fc.nat(),
    limit: fc.constant(undefined),
  });
  fc.assert(fc.property(small, small, (earlier, later) => {
    const gone = (...drops: { before: number; ids: readonly number[] }[]) =>
      Array.from({ length: 21 }, (_, id) => drops.some(({ before, ids }) => id < before || ids.includes(id)));
    const both = combineDrops(earlier, later);
    assertEquals(gone(both), gone(earlier, later));
    assertEquals(both.ids, [...both.ids].sort((a, b) => a - b));
  }));
});

Deno.test("an entry gives its messages back, and of a damaged one those that are not", () => {
  const item = record({ createdMs: fc.nat(4e15), ttlMs: fc.option(id, { nil: undefined }), bytes: fc.nat() });
  const message = record({ attributes: fc.option(attributes, { nil: undefined }), payload, item });
  fc.assert(fc.property(
    fc.nat(2 ** 32 - 1),
    fc.nat(2 ** 40),
    fc.array(message, { minLength: 1, maxLength: 20 }),
    fc.nat(),
    fc.nat(7),
    (topic, firstId, messages, position, bit) => {
      const writer = new EntryWriter(topic, firstId);
      for (const { attributes, payload, item } of messages) writer.add(encodeAttributes(attributes), payload, item);
      const head = decodeHead(writer.head(5).slice());
      assertEquals([head.seq, head.topic, head.firstId], [5, topic, firstId]);
      const body = writer.body.slice();
      const expected = messages.map(({ attributes, payload }, n) => ({
        id: firstId + n,
        content: { attributes: encodeAttributes(attributes), payload },
      }));
      const records = () => readRecords(head, body).map(({ id, content }) => ({ id, content }));
      assertEquals(records(), expected);
      assertEquals(
        head.items.map(({ recordLength: _, ...item }) => item),
        messages.map(({ item: { createdMs, ttlMs, bytes } }) => ({ createdMs, ttlMs, bytes })),
      );
      const flipped = position % body.length;
      body[flipped]! ^= 1 << bit;
      let end = 0;
      const damaged = head.items.findIndex(({ recordLength }) => flipped < (end += recordLength));
      assertEquals(records(), expected.map((each, n) => n === damaged ? { ...each, content: undefined } : each));
    },
  ));
});

Deno.test("a head with a flipped bit is not read, and no record passes for another one", () => {
  const writer = new EntryWriter(3, 70);
  for (const payload of ["a", "a"]) {
    writer.add(new Uint8Array(), new TextEncoder().encode(payload), { createdMs: 5, ttlMs: undefined, bytes: 9 });
  }
  const head = writer.head(4).slice();
  for (let at = 0; at < head.length * 8; at++) {
    const flipped = head.slice();
    flipped[at >> 3]! ^= 1 << (at & 7);
    assertThrows(() => decodeHead(flipped), RangeError);
  }
  const read = (change: object) => readRecords({ ...decodeHead(head), ...change }, writer.body.slice());
  assertEquals(read({}).map(({ content }) => content !== undefined), [true, true]);
  assertEquals(read({ topic: 4 }).map(({ content }) => content), [undefined, undefined]);
  assertEquals(read({ firstId: 71 }).map(({ content }) => content), [undefined, undefined]);
});

Deno.test("rows come back as they were, and none passes for another one", () => {
  const state = record({
    commits: id,
    entries: id,
    topics: id,
    nextTopic: id,
    startedMs: timeMs,
    lastCreatedMs: timeMs,
    goneFromMs: timeMs,
    isBackup: fc.boolean(),
  });
  fc.assert(fc.property(state, (row) => assertEquals(STATE.decode(1, STATE.encode(1, row)), row)));
  fc.assert(fc.property(id, id, id, limit, (key, first, next, limit) => {
    const row = { info: topicOf("foo"), first, next, lostMs: -Infinity, limit };
    assertEquals(TOPIC.decode(key, TOPIC.encode(key, row)), row);
  }));
  fc.assert(fc.property(id, text, id, counts, (key, name, next, counts) => {
    const row = { topic: 3, name, next, counts };
    assertEquals(GROUP.decode(key, GROUP.encode(key, row)), row);
  }));
  fc.assert(fc.property(unacked, (each) => {
    const row = { ...each, group: 3 };
    assertEquals(UNACKED.decode(each.id, UNACKED.encode(each.id, row)), row);
  }));
  fc.assert(fc.property(idempotency, id, (idempotency, firstId) => {
    const row = { topic: 4, answer: { idempotency, appended: { firstId, count: 2 }, delayed: undefined } };
    assertEquals(ANSWER.decode(9, ANSWER.encode(9, row)), row);
  }));
  const bytes = HOLE.encode(8, { topic: 1, ranges: [[3, 5], [9, 10]] }).slice();
  assertEquals(HOLE.decode(8, bytes), { topic: 1, ranges: [[3, 5], [9, 10]] });
  assertThrows(() => HOLE.decode(9, bytes), RangeError);
  assertThrows(() => GROUP.decode(8, bytes), RangeError);
  for (let at = 0; at < bytes.length * 8; at++) {
    const flipped = bytes.slice();
    flipped[at >> 3]! ^= 1 << (at & 7);
    assertThrows(() => HOLE.decode(8, flipped), RangeError);
  }
});

Deno.test("messages that were read come back as they were", () => {
  const message = record({
    id,
    createdMs: timeMs,
    ttlMs: fc.option(id, { nil: undefined }),
    attributes: fc.option(attributes, { nil: undefined }),
    payload,
  });
  fc.assert(fc.property(fc.array(message), (messages) => {
    const to = new ByteWriter();
    for (const each of messages) writeMessage(to, { ...each, attributes: encodeAttributes(each.attributes) });
    assertEquals(decodeMessages(to.finish()), messages);
  }));
});

Deno.test("IdRanges is a set of ids", () => {
  const ids = fc.uniqueArray(fc.nat(60), { maxLength: 30 }).map((ids) => ids.sort((a, b) => a - b));
  const step = fc.oneof(
    record({ add: ids }),
    record({ cut: fc.nat(60) }),
  );
  fc.assert(fc.property(fc.array(step), fc.nat(60), fc.nat(60), (steps, start, end) => {
    const ranges = new IdRanges();
    const model = new Set<number>();
    for (const step of steps) {
      if ("add" in step) {
        ranges.add(rangesOf(step.add));
        for (const id of step.add) model.add(id);
      } else {
        ranges.cutBefore(step.cut);
        for (const id of model) if (id < step.cut) model.delete(id);
      }
      assertEquals([...ranges], rangesOf([...model].sort((a, b) => a - b)));
      assertEquals(ranges.count, [...ranges].length);
    }
    const between = Array.from({ length: Math.max(0, end - start) }, (_, n) => start + n);
    assertEquals(ranges.covers(start, end), between.every((id) => model.has(id)));
    assertEquals(ranges.has(start), model.has(start));
    assertEquals(ranges.missingIn(start, end), rangesOf(between.filter((id) => !model.has(id))));
  }));
});

Deno.test("EntryIndex finds entries by id, whatever became of others", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: record({ push: fc.integer({ min: 1, max: 5 }), skip: fc.nat(3) }) },
    { weight: 1, arbitrary: record({ gone: fc.nat(50) }) },
    { weight: 1, arbitrary: record({ shift: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.constant({ pop: true }) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const index = new EntryIndex();
    let model: EntryPlace[] = [];
    let next = 0;
    let seq = 1;
    for (const step of steps) {
      if ("push" in step) {
        const entry = { seq: seq++, firstId: next + step.skip, count: step.push, bodyBytes: 7 };
        index.push(entry);
        model.push(entry);
        next = entry.firstId + entry.count;
      } else if ("pop" in step) {
        // Only what was pushed last, and is there, is taken back.
        if (index.length === 0 || index.at(index.length - 1) === undefined) continue;
        index.pop();
        next = model.pop()!.firstId;
      } else if ("gone" in step) {
        const position = index.positionOf(step.gone);
        if (position === index.length || index.at(position) === undefined) continue;
        const { seq } = index.at(position)!;
        index.markGone(position);
        model = model.filter((entry) => entry.seq !== seq);
      } else {
        const shifted: EntryPlace[] = [];
        for (let e = index.shiftBefore(step.shift); e !== undefined; e = index.shiftBefore(step.shift)) {
          if (e !== "gone") shifted.push(e);
        }
        const isBefore = ({ firstId, count }: EntryPlace) => firstId + count <= step.shift;
        assertEquals(shifted, model.filter(isBefore));
        model = model.filter((entry) => !isBefore(entry));
      }
      assertEquals([...index], model);
    }
    for (const { firstId, count, seq } of model) {
      for (const id of [firstId, firstId + count - 1]) assertEquals(index.at(index.positionOf(id))?.seq, seq);
    }
    assertEquals(index.positionOf(next), index.length);
  }));
});
