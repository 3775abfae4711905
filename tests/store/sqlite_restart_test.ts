import type { Dropped, Stored } from "../../lib/bus/store.ts";
import { retainedBytes } from "../../lib/bus/limits.ts";
import type { MessageInit } from "../../lib/message.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals } from "../deps.ts";
import { appendOf, NO_COUNTS, NOW_MS, storedTopic, TestDirectory, textsOf, topicOf } from "./journals.ts";

const foo = topicOf("foo");
const bar = topicOf("bar", NOW_MS + 1);
const encoder = new TextEncoder();
const NOTHING_DROPPED: Dropped = { before: 0, ids: [], lostMs: -Infinity, limit: undefined };

/** The index of a topic as rows. */
function indexOf(stored: Stored, name: string): [number, number, number][] {
  const { index: { ids, createdMs, bytes } } = storedTopic(stored, name);
  return Array.from(ids, (id, at) => [id, createdMs[at]!, bytes[at]!]);
}

Deno.test("SqliteStore keeps messages with all they have, and what they count", async () => {
  await using directory = new TestDirectory();
  const headers = Object.assign(Object.create(null), { "a": "é" });
  const attributes = { contentType: "text/plain", headers, key: "k" };
  await directory.with(async (store, stored) => {
    assertEquals(stored, { startedMs: NOW_MS, lastCreatedMs: 0, topics: [], gone: [], goneFromMs: NOW_MS });
    await store.append(appendOf(foo, "a", "b"));
    await store.append({ ...appendOf(bar, "x"), createdMs: NOW_MS + 5, ttlMs: 0, attributes });
    await store.append({ ...appendOf(foo, "c"), createdMs: NOW_MS + 7, ttlMs: 5 });
  });
  await directory.with(async (store, stored) => {
    assertEquals(stored.topics.map(({ info, next }) => [info, next]), [[foo, 3], [bar, 1]]);
    assertEquals(stored.lastCreatedMs, bar.createdMs);
    const topics = new Map(stored.topics.map(({ info }) => [info.name, info]));
    const expected: MessageInit[] = ["a", "b", "c"].map((text, id) => ({
      id,
      createdMs: id === 2 ? NOW_MS + 7 : NOW_MS,
      ttlMs: id === 2 ? 5 : undefined,
      attributes: undefined,
      payload: encoder.encode(text),
    }));
    const read = await store.read(topics.get("foo")!, { first: 0, last: 2 });
    assertEquals(read, expected);
    const x = { id: 0, createdMs: NOW_MS + 5, ttlMs: 0, attributes, payload: encoder.encode("x") };
    assertEquals(await store.read(topics.get("bar")!, { first: 0, last: 9 }), [x]);
    const bytes = (info: typeof foo, { ttlMs = info.ttlMs, ...init }: MessageInit) =>
      retainedBytes(info, { ...init, ttlMs, attributes: init.attributes });
    assertEquals(indexOf(stored, "foo"), expected.map((each) => [each.id, each.createdMs, bytes(foo, each)]));
    assertEquals(indexOf(stored, "bar"), [[0, NOW_MS + 5, bytes(bar, x)]]);
    assertEquals([...storedTopic(stored, "foo").index.ttlMs], [[2, 5]]);
    assertEquals([...storedTopic(stored, "bar").index.ttlMs], [[0, 0]]);
    assertEquals(await store.append(appendOf(topics.get("foo")!, "d")), 3);
  });
});

Deno.test("SqliteStore.read gives what is asked for, and nothing of what it doesn't know", async () => {
  await using directory = new TestDirectory();
  await directory.with(async (store) => {
    for (let n = 0; n < 10; n++) await store.append(appendOf(foo, `${2 * n}`, `${2 * n + 1}`));
    assertEquals(await textsOf(store, foo, 3, 6), ["3 3", "4 4", "5 5", "6 6"]);
    assertEquals(await textsOf(store, foo, 19, 100), ["19 19"]);
    assertEquals(await textsOf(store, foo, 20), []);
    assertEquals(await textsOf(store, bar), []);
  });
});

Deno.test("SqliteStore keeps messages that are larger than an entry, and very many at once", async () => {
  await using directory = new TestDirectory();
  const large = "x".repeat(200_000);
  const many = Array.from({ length: 3000 }, (_, n) => `${n}`);
  await directory.with(async (store) => {
    const [first, second] = await Promise.all([
      store.append(appendOf(foo, "a", large, "b", large)),
      store.append(appendOf(foo, ...many)),
    ]);
    assertEquals([first, second], [0, 4]);
  });
  await directory.with(async (store, stored) => {
    const { info } = storedTopic(stored, "foo");
    const expected = ["a", large, "b", large, ...many].map((text, id) => `${id} ${text}`);
    assertEquals(await textsOf(store, info), expected);
    assertEquals(await textsOf(store, info, 1500, 1501), ["1500 1496", "1501 1497"]);
  });
});

Deno.test("SqliteStore keeps groups, what they are not done with, and what they count", async () => {
  await using directory = new TestDirectory();
  const counts = { acked: 3, dead: 2, lost: 1 };
  await directory.with(async (store) => {
    await store.append(appendOf(foo, "a", "b", "c", "d"));
    const unacked = [{ id: 0, attempt: 1 }, { id: 2, attempt: 3, notBeforeMs: NOW_MS + 9, key: "k", reason: "no" }];
    await Promise.all([
      store.note(foo, { group: "", next: 3, unacked, done: [], counts: NO_COUNTS }),
      // These are combined.
      store.note(foo, { group: "", next: 4, unacked: [{ id: 3, attempt: 1 }], done: [0], counts }),
      store.note(foo, { group: "w", next: 1, unacked: [], done: [], counts: NO_COUNTS }),
      store.note(foo, { group: "gone", next: 1, unacked, done: [], counts: NO_COUNTS }),
    ]);
    await Promise.all([
      store.note(foo, { group: "gone", next: 2, unacked, done: [], counts: NO_COUNTS }),
      store.forget(foo, "gone"),
      store.forget(foo, "unheard of"),
    ]);
    await store.note(foo, { group: "", next: 4, unacked: [{ id: 3, attempt: 2 }], done: [], counts });
  });
  await directory.with((_, stored) => {
    const more = { notBeforeMs: undefined, key: undefined, reason: undefined };
    assertEquals(storedTopic(stored, "foo").groups, [
      {
        name: "",
        next: 4,
        unacked: [
          { id: 2, attempt: 3, notBeforeMs: NOW_MS + 9, key: "k", reason: "no" },
          { id: 3, attempt: 2, ...more },
        ],
        counts,
      },
      { name: "w", next: 1, unacked: [], counts: NO_COUNTS },
    ]);
  });
});

Deno.test("SqliteStore: a group that was forgotten begins anew, without what it was not done with", async () => {
  await using directory = new TestDirectory();
  await directory.with(async (store) => {
    await store.append(appendOf(foo, "a", "b"));
    const change = { group: "w", next: 2, unacked: [{ id: 0, attempt: 1 }], done: [], counts: NO_COUNTS };
    const again = { group: "w", next: 1, unacked: [], done: [], counts: NO_COUNTS };
    // In one batch, and in several.
    await Promise.all([store.note(foo, change), store.forget(foo, "w"), store.note(foo, again)]);
    await store.note(foo, { ...change, group: "v" });
    await store.forget(foo, "v");
    await store.note(foo, { ...again, group: "v" });
  });
  await directory.with((_, stored) => {
    const group = { next: 1, unacked: [], counts: NO_COUNTS };
    assertEquals(storedTopic(stored, "foo").groups, [{ name: "w", ...group }, { name: "v", ...group }]);
  });
});

Deno.test("SqliteStore: what an append settles is not overtaken by a note that came before it", async () => {
  await using directory = new TestDirectory();
  const noted = (next: number, acked: number, done: number[]) => {
    return { group: "", next, unacked: [], done, counts: { acked, dead: 0, lost: 0 } };
  };
  await directory.with(async (store) => {
    await store.append(appendOf(foo, "a", "b", "c"));
    await Promise.all([
      store.note(foo, noted(1, 1, [])),
      store.append({ ...appendOf(bar, "dead"), settles: { topic: foo, change: noted(2, 2, [0]) } }),
      store.note(foo, noted(3, 3, [])),
    ]);
  });
  await directory.with((_, stored) => {
    assertEquals(storedTopic(stored, "foo").groups, [
      { name: "", next: 3, unacked: [], counts: { acked: 3, dead: 0, lost: 0 } },
    ]);
    assertEquals(storedTopic(stored, "bar").next, 1);
  });
});

Deno.test("SqliteStore keeps what is to be appended later, in the order of the calls, until it is appended or taken back", async () => {
  await using directory = new TestDirectory();
  const delayed = (token: string, dueMs: number) => ({ topic: foo, token, dueMs, payload: encoder.encode(token) });
  const attributes = { contentType: "text/plain", headers: undefined, key: "k" };
  await directory.with(async (store) => {
    await store.delay(delayed("c", 3));
    await Promise.all([
      store.delay({ ...delayed("a", 1), ttlMs: 0, attributes }),
      store.delay(delayed("b", 2)),
      store.delay(delayed("d", 4)),
      store.cancel(foo, "b"),
    ]);
    await store.append({ ...appendOf(foo, "d"), scheduled: "d" });
    assertEquals(await codeOfRejection(store.cancel(foo, "unheard of")), "no_scheduled");
  });
  await directory.with((_, stored) => {
    const { delayed, info, next } = storedTopic(stored, "foo");
    const more = { ttlMs: undefined, attributes: undefined, idempotency: undefined };
    assertEquals(delayed, [
      { topic: info, token: "c", dueMs: 3, payload: encoder.encode("c"), ...more },
      { topic: info, token: "a", dueMs: 1, payload: encoder.encode("a"), ...more, ttlMs: 0, attributes },
    ]);
    assert(delayed.every(({ topic }) => topic === info));
    assertEquals(next, 1);
  });
});

Deno.test("SqliteStore remembers publishes as long as they ask for, and what they were answered", async () => {
  await using directory = new TestDirectory();
  const idempotency = (key: string, untilMs: number) => ({ key, fingerprint: "0123456789abcdef", untilMs });
  const past = idempotency("past", NOW_MS);
  const kept = idempotency("kept", NOW_MS + 1);
  const later = idempotency("later", NOW_MS + 2);
  await directory.with(async (store) => {
    await store.append({ ...appendOf(foo, "a"), idempotency: past });
    await store.append({ ...appendOf(foo, "b", "c"), idempotency: kept });
    await store.delay({ topic: foo, token: "t", dueMs: 77, payload: new Uint8Array(), idempotency: later });
  });
  await directory.with((_, stored) => {
    const { answers, delayed } = storedTopic(stored, "foo");
    assertEquals(answers, [
      { idempotency: kept, appended: { firstId: 1, count: 2 }, delayed: undefined },
      { idempotency: later, appended: undefined, delayed: { token: "t", dueMs: 77 } },
    ]);
    assertEquals(delayed.map(({ idempotency }) => idempotency), [later]);
  });
});

Deno.test("SqliteStore forgets what has left a log, from the front and from the middle, and takes no id again", async () => {
  await using directory = new TestDirectory();
  const limit = { id: 1, createdMs: NOW_MS };
  await directory.with(async (store) => {
    for (const text of ["a", "b", "c", "d", "e"]) await store.append(appendOf(foo, text, text));
    store.drop(foo, { before: 3, ids: [5, 8], lostMs: NOW_MS, limit });
    store.drop(foo, { before: 3, ids: [6], lostMs: NOW_MS, limit });
    await store.append(appendOf(bar, "x", "y"));
    store.drop(bar, { before: 2, ids: [], lostMs: NOW_MS, limit: undefined });
  });
  const left = ["3 b", "4 c", "7 d", "9 e"];
  await directory.with(async (store, stored) => {
    const topic = storedTopic(stored, "foo");
    assertEquals([...topic.index.ids], [3, 4, 7, 9]);
    assertEquals([topic.next, topic.lostMs, topic.limit], [10, NOW_MS, limit]);
    assertEquals(await textsOf(store, topic.info), left);
    const { info, next, lostMs } = storedTopic(stored, "bar");
    assertEquals([next, lostMs], [2, NOW_MS]);
    assertEquals(await store.append(appendOf(info, "z")), 2);
  });
  await directory.with(async (store, stored) => {
    assertEquals(await textsOf(store, storedTopic(stored, "foo").info), left);
    assertEquals(await textsOf(store, storedTopic(stored, "bar").info), ["2 z"]);
    store.drop(storedTopic(stored, "foo").info, { ...NOTHING_DROPPED, before: 10 });
  });
  await directory.with((_, stored) => {
    const { next, index } = storedTopic(stored, "foo");
    assertEquals([next, index.ids.length], [10, 0]);
  });
});

Deno.test("SqliteStore.append drops what it replaces in the same step", async () => {
  await using directory = new TestDirectory();
  await directory.with(async (store) => {
    await store.append(appendOf(foo, "a", "b", "c"));
    await store.append({ ...appendOf(bar, "b"), drops: { topic: foo, id: 1 } });
  });
  await directory.with(async (store, stored) => {
    assertEquals(await textsOf(store, storedTopic(stored, "foo").info), ["0 a", "2 c"]);
    assertEquals(await textsOf(store, storedTopic(stored, "bar").info), ["0 b"]);
  });
});

Deno.test("SqliteStore.remove forgets a topic with everything, and remembers that it was there", async () => {
  await using directory = new TestDirectory();
  const idempotency = { key: "k", fingerprint: "0", untilMs: NOW_MS + 9 };
  const again = topicOf("foo", NOW_MS + 2);
  await directory.with(async (store) => {
    await store.append({ ...appendOf(foo, "a", "b"), idempotency });
    await store.note(foo, { group: "", next: 1, unacked: [{ id: 0, attempt: 1 }], done: [], counts: NO_COUNTS });
    await store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array() });
    // All in one batch: what is on its way to the topic goes with it.
    await Promise.all([
      store.append(appendOf(foo, "c")),
      store.remove(foo, NOW_MS),
      store.append(appendOf(again, "z")),
    ]);
    await store.append(appendOf(bar, "x"));
    await store.remove(bar, -Infinity);
    await store.remove(bar, -Infinity);
  });
  const check = (stored: Stored) => {
    assertEquals(
      stored.topics.map(({ info, next, groups, delayed, answers }) => [info, next, groups, delayed, answers]),
      [
        [again, 1, [], [], []],
      ],
    );
    assertEquals(stored.gone, [{ name: "foo", newestMs: NOW_MS }]);
    assertEquals([stored.goneFromMs, stored.lastCreatedMs], [NOW_MS, again.createdMs]);
  };
  await directory.with((_, stored) => check(stored));
  await directory.with((_, stored) => check(stored));
});

Deno.test("SqliteStore remembers 4096 topics that are gone, and from when on", async () => {
  await using directory = new TestDirectory();
  await directory.with(async (store) => {
    for (let n = 0; n < 4100; n += 100) {
      await Promise.all(Array.from({ length: 100 }, async (_, k) => {
        const topic = topicOf(`t${n + k}`, NOW_MS + n + k);
        await store.append(appendOf(topic, "a"));
        await store.remove(topic, NOW_MS + n + k);
      }));
    }
  });
  await directory.with((_, { gone, goneFromMs }) => {
    assertEquals([gone.length, gone[0]!.name, gone.at(-1)!.name, goneFromMs], [4096, "t4", "t4099", NOW_MS + 4]);
  });
});

Deno.test("SqliteStore: a topic that never had a message gives way to the next one of its name", async () => {
  await using directory = new TestDirectory();
  const again = topicOf("foo", NOW_MS + 2);
  await directory.with(async (store) => {
    // The bus forgets such a topic without a word.
    await store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array() });
    await store.cancel(foo, "t");
    await store.append(appendOf(again, "a"));
  });
  await directory.with((_, stored) => assertEquals(stored.topics.map(({ info }) => info), [again]));
});
