import { retainedBytes } from "../../lib/bus/limits.ts";
import { Log, type LogPages } from "../../lib/bus/log.ts";
import type { HotSegment } from "../../lib/bus/segment.ts";
import { Message } from "../../lib/message.ts";
import { assertEquals, assertStrictEquals, fc } from "../deps.ts";

const topic = { name: "foo", ttlMs: 0, createdMs: 0, epoch: "0" };
const payload = new Uint8Array();
const messageOf = (id: number, createdMs = 0) => new Message(topic, { id, payload, createdMs });
const bytesOf = (message: Message) => retainedBytes(topic, message);

function logOf(length: number): Log {
  const log = new Log();
  for (let id = 0; id < length; id++) log.append(messageOf(id), 1);
  return log;
}

/** The segments of a log that are in memory, as it tells them. */
class Pages implements LogPages {
  readonly maxSegmentBytes: number;
  readonly hot = new Set<HotSegment>();

  constructor(maxSegmentBytes: number) {
    this.maxSegmentBytes = maxSegmentBytes;
  }

  added(_: Log, segment: HotSegment): void {
    this.hot.add(segment);
  }

  removed(segment: HotSegment): void {
    this.hot.delete(segment);
  }
}

/** What a log is, said with an array of every message it ever had. */
class PlainLog {
  readonly all: { readonly message: Message; lost: boolean }[] = [];

  get retained(): Message[] {
    return this.all.filter(({ lost }) => !lost).map(({ message }) => message);
  }

  /** When the newest of those was created that were lost directly before an id. */
  lostBefore(id: number): number {
    const before = this.all[id - 1];
    return before?.lost ? before.message.createdMs : -Infinity;
  }
}

// A segment spans 1024 ids; these fill and empty several.
const amount = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1020, max: 1030 }), fc.nat(3000));
/** Which messages to drop: every so many, or all others, in a part of the log that begins and ends at these percentages. */
const cut = fc.record({
  from: fc.integer({ min: 0, max: 99 }),
  to: fc.integer({ min: 1, max: 100 }),
  stride: fc.constantFrom(1, 2, 3, 50, 700),
  keeps: fc.boolean(),
});
const step = fc.record({
  append: amount,
  everyMs: fc.constantFrom(1, 2, 500),
  dropOldest: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: amount }),
  cut: fc.option(cut, { nil: undefined, freq: 2 }),
  page: fc.record({ evictEvery: fc.nat(4), fillEvery: fc.nat(4) }),
});
// Up to all messages of a segment, and none with another one.
const maxSegmentBytes = fc.constantFrom(Infinity, 400 * 1024, 20 * 1024, 1);

Deno.test("Log holds what an array holds, whatever is dropped from its front and its middle", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 12, size: "max" }),
      fc.array(fc.nat(20_000), { maxLength: 5 }),
      // Not each for itself: there are thousands.
      maxSegmentBytes.filter((bytes) => bytes > 1),
      (steps, probes, maxSegmentBytes) => {
        const pages = new Pages(maxSegmentBytes);
        const log = new Log(pages);
        const plain = new PlainLog();
        let nowMs = 0;
        const drop = (id: number) => {
          const entry = plain.all[id];
          assertEquals(log.drop(id), entry === undefined || entry.lost ? undefined : bytesOf(entry.message));
          if (entry !== undefined) entry.lost = true;
        };
        for (const { append, everyMs, dropOldest, cut, page } of steps) {
          for (let i = 0; i < append; i++) {
            if (i % everyMs === 0) nowMs++;
            const message = messageOf(plain.all.length, nowMs);
            log.append(message, bytesOf(message));
            plain.all.push({ message, lost: false });
          }
          evict(log, pages, page.evictEvery);
          for (const message of plain.retained.slice(0, dropOldest)) {
            assertEquals(log.dropOldest(), bytesOf(message));
            plain.all[message.id]!.lost = true;
          }
          if (cut !== undefined) {
            const [from, to] = [cut.from, cut.to].map((percent) => Math.floor(percent / 100 * plain.all.length));
            for (let id = from!; id < to!; id++) if ((id % cut.stride === 0) !== cut.keeps) drop(id);
          }
          fill(log, plain, page.fillEvery);
          const { retained } = plain;
          const near = retained.filter((_, i) => i % Math.ceil(retained.length / 20) === 0).map(({ id }) => id);
          compare(log, plain, [...near, ...near.map((id) => id - 1), ...probes]);
          assertEquals(sum(pages.hot), log.residentBytes);
        }
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("Log holds what an array holds, step by step, when it is small", () => {
  const step = fc.oneof(
    fc.record({ append: fc.nat(2) }),
    fc.record({ drop: fc.nat(30) }),
    fc.constant({ oldest: true as const }),
    fc.record({ evictEvery: fc.nat(3) }),
    fc.record({ fillEvery: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), maxSegmentBytes, (steps, maxSegmentBytes) => {
      const pages = new Pages(maxSegmentBytes);
      const log = new Log(pages);
      const plain = new PlainLog();
      for (const step of steps) {
        if ("append" in step) {
          const message = messageOf(plain.all.length, (plain.all.at(-1)?.message.createdMs ?? 0) + step.append);
          log.append(message, bytesOf(message));
          plain.all.push({ message, lost: false });
        } else if ("evictEvery" in step) evict(log, pages, step.evictEvery);
        else if ("fillEvery" in step) fill(log, plain, step.fillEvery);
        else {
          const id = "drop" in step ? step.drop : plain.retained[0]?.id ?? 0;
          const entry = plain.all[id];
          assertEquals(log.drop(id), entry === undefined || entry.lost ? undefined : bytesOf(entry.message));
          if (entry !== undefined) entry.lost = true;
        }
        assertEquals(sum(pages.hot), log.residentBytes);
        compare(log, plain, plain.all.map((_, id) => id));
      }
    }),
    { numRuns: 300 },
  );
});

/** Takes every so many segments out of memory; none if that is 0. */
function evict(log: Log, pages: Pages, every: number): void {
  [...pages.hot].forEach((segment, i) => {
    if (every > 0 && i % every === 0) log.evict(segment);
  });
}

/** Puts every so many segments back that are not in memory. */
function fill(log: Log, plain: PlainLog, every: number): void {
  if (every === 0) return;
  const cold = new Set(plain.retained.map(({ id }) => log.coldAt(id)).filter((segment) => segment !== undefined));
  [...cold].forEach((segment, i) => {
    if (i % every > 0) return;
    const { retained } = plain;
    const messages = retained.slice(
      retained.findIndex(({ id }) => id === segment.idAt(segment.start)),
      retained.findIndex(({ id }) => id === segment.idAt(segment.end - 1)) + 1,
    );
    assertStrictEquals(log.fill(segment, messages)?.bytes, messages.reduce((sum, each) => sum + bytesOf(each), 0));
    assertEquals(log.fill(segment, messages), undefined);
  });
}

function sum(segments: Iterable<HotSegment>): number {
  let bytes = 0;
  for (const { messages, start } of segments) for (const each of messages.slice(start)) bytes += bytesOf(each);
  return bytes;
}

function compare(
  log: Log,
  plain: PlainLog,
  probes: readonly number[],
  isLost = (lost: number, exact: number) => lost === exact,
): void {
  const { retained, all } = plain;
  const next = all.length;
  const first = retained[0]?.id ?? next;
  assertEquals([log.first, log.next, log.length], [first, next, retained.length]);
  assertEquals([log.oldestMs, log.newestMs], [retained[0]?.createdMs, retained.at(-1)?.createdMs]);
  assertEquals(log.last, retained.at(-1)?.id);
  for (const id of [...probes, -1, first - 1, first, first + 1, next - 1, next, next + 1]) {
    const entry = all[id];
    const message = entry?.lost ? undefined : entry?.message;
    if (!log.isCold(id)) assertStrictEquals(log.get(id), message);
    else assertEquals([log.get(id), message === undefined], [undefined, false]);
    assertEquals(log.has(id), message !== undefined);
    assertEquals([log.createdAt(id), log.bytesAt(id)], [message?.createdMs, message && bytesOf(message)]);
    const at = retained.findIndex((message) => message.id >= id);
    if (id <= next) assertEquals(log.idFrom(id), retained[at]?.id ?? next);
    assertEquals(log.countFrom(id), at === -1 ? 0 : retained.length - at);
    if (id > 0) assertEquals(log.firstOfLast(id), (retained.at(-id) ?? retained[0])?.id ?? next);
    const createdMs = entry?.message.createdMs ?? 0;
    for (const sinceMs of [createdMs, createdMs + 1]) {
      assertEquals(log.firstSince(sinceMs), retained.find((message) => message.createdMs >= sinceMs)?.id ?? next);
    }
  }
  assertEquals(log.firstOfLast(0), next);
  for (const id of [...retained.map(({ id }) => id), next]) {
    const [lost, exact] = [log.lostBefore(id), plain.lostBefore(id)];
    if (!isLost(lost, exact)) assertEquals(lost, exact, `at ${id}`);
  }
}

Deno.test("Log.restore begins with what was kept, of which nothing is in memory, and which may have holes", () => {
  const shape = fc.record({
    length: fc.nat(3000),
    cut: fc.option(cut, { nil: undefined }),
    append: fc.nat(1100),
    told: fc.boolean(),
  });
  fc.assert(
    fc.property(shape, maxSegmentBytes, ({ length, cut, append, told }, maxSegmentBytes) => {
      const plain = new PlainLog();
      for (let id = 0; id < length; id++) plain.all.push({ message: messageOf(id, id >> 2), lost: false });
      const [from, to] = [cut?.from ?? 0, cut?.to ?? 0].map((percent) => Math.floor(percent / 100 * length));
      for (let id = from!; id < to!; id++) plain.all[id]!.lost = (id % cut!.stride === 0) !== cut!.keeps;
      const { retained } = plain;
      const log = new Log(new Pages(maxSegmentBytes));
      const first = retained[0]?.id ?? length;
      const index = {
        ids: Float64Array.from(retained, ({ id }) => id),
        createdMs: Float64Array.from(retained, ({ createdMs }) => createdMs),
        bytes: Uint32Array.from(retained, bytesOf),
      };
      // Of what is gone from the front the store may have been told or not.
      const front = told ? { before: first, lostMs: plain.lostBefore(first) } : { before: 0, lostMs: -Infinity };
      log.restore({ index: { ...index, ttlMs: new Map() }, next: length, ...front }, 1e6);
      assertEquals([log.residentBytes, retained.every(({ id }) => log.isCold(id))], [0, true]);
      for (let id = length; id < length + append; id++) {
        const message = messageOf(id, 1e6);
        log.append(message, bytesOf(message));
        plain.all.push({ message, lost: false });
      }
      const near = plain.retained.filter((_, i) => i % 97 === 0).map(({ id }) => id);
      compare(log, plain, [...near, ...near.map((id) => id - 1)], (lost, exact) => lost >= exact);
      // What was lost between messages was created no later than what follows.
      for (const { id, createdMs } of plain.retained) assertEquals(log.lostBefore(id) <= createdMs, true);
    }),
    { numRuns: 200 },
  );
});

Deno.test("Log.get knows no dropped message and none that is not there yet", () => {
  const log = logOf(5000);
  for (let id = 0; id < 4000; id++) {
    log.dropOldest();
    assertEquals(log.get(id), undefined);
  }
  assertEquals([log.get(-1), log.get(5000), log.get(1e9)], [undefined, undefined, undefined]);
  assertEquals(log.get(4000)?.id, 4000);
});

Deno.test("Log goes on with the next id after it was emptied", () => {
  for (const drop of [(log: Log) => log.dropOldest(), (log: Log) => log.drop(0)]) {
    const log = logOf(1);
    assertEquals(drop(log), 1);
    assertEquals([log.first, log.next, log.oldestMs, log.newestMs], [1, 1, undefined, undefined]);
    log.append(messageOf(1), 1);
    assertEquals(log.get(1)?.id, 1);
  }
});

Deno.test("Log finds what is left of what was dropped from many segments, when more was appended", () => {
  const log = logOf(3000);
  for (let id = 0; id < 3000; id++) if (id % 50 !== 0) log.drop(id);
  for (let id = 3000; id < 6000; id++) log.append(messageOf(id), 1);
  for (let id = 0; id < 6000; id += 50) assertEquals(log.get(id)?.id, id);
  for (let id = 2901; id < 2950; id++) assertEquals([log.get(id), log.idFrom(id)], [undefined, 2950]);
  assertEquals([log.countFrom(2900), log.countFrom(3000), log.firstOfLast(3001)], [3002, 3000, 2950]);
});

Deno.test("Log.drop of what is not retained does nothing", () => {
  const log = logOf(3);
  log.drop(1);
  for (const id of [1, -1, 3, 0.5]) assertEquals(log.drop(id), undefined);
  assertEquals([log.length, log.cuts], [2, 1]);
});

Deno.test("Log.cuts counts what was dropped that was not the oldest", () => {
  const log = logOf(5);
  log.dropOldest();
  log.drop(1);
  assertEquals(log.cuts, 0);
  log.drop(4);
  log.drop(3);
  assertEquals(log.cuts, 2);
  log.drop(2);
  assertEquals([log.cuts, log.length], [2, 0]);
});

Deno.test("Log.lostBefore remembers no more holes than there are messages that follow one", () => {
  const log = logOf(10_000);
  for (let id = 1; id < 10_000; id++) if (id % 1000 !== 0) log.drop(id);
  const following = [];
  for (let id = 0; id <= 10_000; id++) if (log.lostBefore(id) > -Infinity) following.push(id);
  assertEquals(following, [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000]);
  for (let left = log.length; left > 0; left--) log.dropOldest();
  assertEquals(log.lostBefore(10_000), 0);
  assertEquals(log.lostBefore(5000), -Infinity);
});
