import type { GroupStats, PullBatchOptions, TakeOptions } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Message } from "../../lib/message.ts";
import { assert, assertEquals, assertThrows } from "../deps.ts";
import { lineOf } from "./deliveries.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

const LEASE: TakeOptions = { group: "g", leaseMs: 10_000 };

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  const put = (...payloads: string[]) => payloads.forEach((payload) => bus.put("t", payload));
  /** Publishes messages, each with what is before the colon as its key. */
  const putKeyed = (...payloads: string[]) =>
    payloads.forEach((payload) => bus.put("t", payload, { key: payload.split(":")[0] }));
  const get = (options: TakeOptions = LEASE) => seen(bus.get("t", options));
  const lease = (options: TakeOptions = LEASE) => bus.get("t", { leaseMs: 10_000, ...options })!;
  const all = (options: TakeOptions = LEASE) => {
    const texts: (string | undefined)[] = [];
    for (let text = get(options); text !== undefined; text = get(options)) texts.push(text);
    return texts;
  };
  const stats = (group = "g") => bus.groups("t").find((stats) => stats.group === group);
  return { clock, bus, put, putKeyed, get, lease, all, stats };
}

/** A message as its text, with its number of attempts if that is not 1. */
function seen(message: Message | undefined): string | undefined {
  if (message === undefined) return undefined;
  const { attempt = 1 } = message;
  return attempt === 1 ? message.text() : `${message.text()} (${attempt})`;
}

/** Lets everything happen that follows from what has. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await undefined;
}

Deno.test("MessageBus.get gives each group every message, and each message to one puller of the group", () => {
  const { put, get } = setUp();
  put("a", "b");
  assertEquals([get({ group: "g" }), get({ group: "h" }), get({ group: "g" }), get({ group: "g" })], [
    "a",
    "a",
    "b",
    undefined,
  ]);
  assertEquals([get({}), get({ group: "" }), get({})], ["a", "b", undefined]);
});

Deno.test("MessageBus.get with group begins where from says, when the group is made and never again", () => {
  const { bus, put, get } = setUp();
  put("a", "b", "c");
  assertEquals(get({ group: "new", from: "latest" }), undefined);
  assertEquals(get({ group: "two", from: { last: 2 } }), "b");
  assertEquals(get({ group: "one", from: { next: 1 } }), "b");
  put("d");
  assertEquals([get({ group: "new", from: "earliest" }), get({ group: "two", from: "latest" })], ["d", "c"]);
  assertEquals(codeOf(() => bus.get("t", { group: "x", from: { next: -1 } })), "bad_cursor");
});

Deno.test("MessageBus.pullBatch tells a group that begins where nothing is any more what it has missed", async () => {
  const { bus, clock, put } = setUp({ ttlMs: 1000 });
  put("a", "b");
  clock.tick(1500);
  put("c");
  const { messages, gap } = await bus.pullBatch("t", { group: "g", from: { next: 1 } });
  assertEquals([messages.map(seen), lineOf(gap)], [["c"], "gap t 1-1 expired"]);
  assertEquals((await bus.pullBatch("t", { group: "h", from: { next: 0, epoch: "other" } })).gap?.reason, "reset");
  assertEquals((await bus.pullBatch("t", { group: "i" })).gap, undefined);
});

Deno.test("MessageBus.get of a group before its topic exists lets the group begin with the first message", () => {
  const { bus, put, get } = setUp();
  assertEquals(get({ group: "g", from: "latest" }), undefined);
  assertEquals(bus.topic("t"), undefined);
  put("a", "b");
  assertEquals(get({ group: "g", from: "latest" }), "a");
  assertEquals(get({ group: "other", from: "latest" }), undefined);
});

Deno.test("MessageBus.get remembers a group of a missing topic though the first publish is refused", () => {
  const { bus, put, get } = setUp({ maxPayloadBytes: 3 });
  get({ group: "g", from: "latest" });
  assertEquals(codeOf(() => bus.put("t", "too long")), "too_large");
  put("a");
  assertEquals(get({ group: "g", from: "latest" }), "a");
});

Deno.test("MessageBus.get refuses names that are no group's with bad_group", () => {
  const { bus, put } = setUp();
  put("a");
  for (const group of ["a/b", "-x", "a*", "..", "x".repeat(129), "a\n", "\ud800", "e\u0301", 7 as unknown as string]) {
    assertEquals(codeOf(() => bus.get("t", { group })), "bad_group", String(group));
    assertEquals(codeOf(() => bus.get("missing", { group })), "bad_group", String(group));
  }
  for (const group of ["x".repeat(128), "__proto__", "constructor", "é", "a b", "0"]) {
    assertEquals(bus.get("t", { group })?.text(), "a");
  }
});

Deno.test("MessageBus.get makes at most maxGroups groups of a topic, existing or not", async () => {
  const { bus, put } = setUp({ maxGroups: 2 });
  put("a");
  for (const topic of ["t", "missing"]) {
    for (const group of ["g", "h", "g"]) bus.get(topic, { group });
    assertEquals(codeOf(() => bus.get(topic, { group: "i" })), "too_many_groups");
  }
  await bus.deleteGroup("t", "h");
  assertEquals(bus.get("t", { group: "i" })?.text(), "a");
});

Deno.test("MessageBus.get with leaseMs hands a message out again when the lease has ended, before anything new", () => {
  const { clock, put, get } = setUp();
  put("a", "b", "c");
  assertEquals([get(), get()], ["a", "b"]);
  clock.tick(9999);
  assertEquals(get(), "c");
  clock.tick(1);
  assertEquals([get(), get(), get()], ["a (2)", "b (2)", undefined]);
});

Deno.test("MessageBus.get takes a message for good that is handed out again, if it doesn't lease it", () => {
  const { clock, put, get, lease, stats } = setUp();
  put("a", "b");
  lease();
  clock.tick(10_000);
  const again = get({ group: "g" });
  assertEquals([again, get({ group: "g" }), get()], ["a (2)", "b", undefined]);
  clock.tick(60_000);
  assertEquals([get(), stats()?.acked], [undefined, 2]);
});

Deno.test("MessageBus.get gives attempt and lease only where they say something", () => {
  const { bus, clock, put } = setUp();
  put("a");
  const first = bus.get("t", { group: "g" })!;
  assertEquals([first.attempt, first.lease, first.handout], [undefined, undefined, undefined]);
  const leased = bus.get("t", { leaseMs: 1000 })!;
  assertEquals([leased.attempt, typeof leased.lease], [1, "string"]);
  clock.tick(1000);
  const again = bus.get("t")!;
  assertEquals([again.attempt, again.lease], [2, undefined]);
});

Deno.test("MessageBus.get leases from the queue, too", async () => {
  const { bus, clock, put, get, lease } = setUp();
  put("a", "b");
  const a = lease({ group: "" });
  assertEquals([get({}), await bus.ack(a.lease!)], ["b", { done: [a.lease!], unknown: [] }]);
  clock.tick(60_000);
  assertEquals(get({}), undefined);
});

Deno.test("MessageBus.get refuses leases that are shorter than 1 s or longer than 12 h", () => {
  const { bus, put } = setUp();
  put("a");
  for (const leaseMs of [0, 999, 12 * 3_600_000 + 1, NaN, Infinity, -1]) {
    assertEquals(codeOf(() => bus.get("t", { leaseMs })), "bad_option", String(leaseMs));
  }
  assertEquals(bus.get("t")?.text(), "a");
});

Deno.test("MessageBus.ack ends a message's life in its group, in any order, and only there", async () => {
  const { bus, clock, put, lease, all, stats } = setUp();
  put("a", "b", "c");
  const [a, b, c] = [lease(), lease(), lease()];
  await bus.ack([c.lease!, a.lease!]);
  assertEquals([stats()?.leased, stats()?.acked, stats()?.cursor], [1, 2, `1@${a.topic.epoch}`]);
  await bus.ack(b.lease!);
  assertEquals(stats()?.cursor, `3@${a.topic.epoch}`);
  clock.tick(60_000);
  assertEquals([all(), all({ group: "other" })], [[], ["a", "b", "c"]]);
});

Deno.test("MessageBus.ack counts for a lease that has ended, until the message is handed out again", async () => {
  const { bus, clock, put, lease, get } = setUp();
  put("a", "b");
  const [a, b] = [lease(), lease()];
  clock.tick(10_000);
  assertEquals((await bus.ack(a.lease!)).done, [a.lease!]);
  assertEquals(get(), "b (2)");
  assertEquals(await bus.ack(b.lease!), { done: [], unknown: [b.lease!] });
  clock.tick(10_000);
  assertEquals(get(), "b (3)");
});

Deno.test("MessageBus.ack tells tokens that it doesn't know, and those given twice once", async () => {
  const { bus, put, lease } = setUp();
  put("a");
  const { lease: token = "" } = lease();
  assertEquals(await bus.ack([token, "nonsense", token, ""]), { done: [token], unknown: ["nonsense", ""] });
  assertEquals(await bus.ack(token), { done: [], unknown: [token] });
  assertEquals(await bus.ack([]), { done: [], unknown: [] });
});

Deno.test("MessageBus.nack hands a message back at once, before anything new, and its token is void", async () => {
  const { bus, put, lease, get } = setUp();
  put("a", "b", "c");
  const [a, b] = [lease(), lease()];
  await bus.nack([b.lease!, a.lease!]);
  assertEquals(await bus.ack(a.lease!), { done: [], unknown: [a.lease!] });
  assertEquals([get(), get(), get()], ["a (2)", "b (2)", "c"]);
});

Deno.test("MessageBus.nack with delayMs hands it out when that is over, not before", async () => {
  const { bus, clock, put, lease, get } = setUp();
  put("a", "b");
  await bus.nack(lease().lease!, { delayMs: 5000 });
  assertEquals([get(), get()], ["b", undefined]);
  clock.tick(4999);
  assertEquals(get(), undefined);
  clock.tick(1);
  assertEquals(get(), "a (2)");
});

Deno.test("MessageBus.nack with count false doesn't count the attempt", async () => {
  const { bus, put, lease } = setUp({ maxAttempts: 2 });
  put("a");
  const attempts: (number | undefined)[] = [];
  for (const count of [false, true, false, false]) {
    const { attempt, lease: token = "" } = lease();
    attempts.push(attempt);
    await bus.nack(token, { count });
  }
  assertEquals([attempts, bus.topic("t/-dead")], [[1, 1, 2, 2], undefined]);
});

Deno.test("MessageBus.nack refuses a wrong delay, and cuts a reason that is too long", async () => {
  const { bus, put, lease } = setUp({ maxAttempts: 1 });
  for (const delayMs of [-1, 12 * 3_600_000 + 1, NaN]) {
    assertEquals(codeOf(() => bus.nack("x", { delayMs })), "bad_option");
  }
  put("a");
  await bus.nack(lease().lease!, { reason: "é".repeat(1023) + "😀" });
  const reason = (await bus.browse("t/-dead"))!.messages[0]!.headers["msgbus-dead-reason"]!;
  assertEquals([reason.length, reason.isWellFormed(), reason.slice(0, 2)], [1024, true, "éé"]);
});

Deno.test("MessageBus.extend makes a lease last, from now on, and revives one that has ended", async () => {
  const { bus, clock, put, lease, get } = setUp();
  put("a");
  const { lease: token = "" } = lease();
  clock.tick(9000);
  await bus.extend(token);
  clock.tick(9999);
  assertEquals(get(), undefined);
  clock.tick(1);
  await bus.extend(token, 60_000);
  clock.tick(59_999);
  assertEquals(get(), undefined);
  await bus.extend(token, 1000);
  clock.tick(1000);
  assertEquals(get(), "a (2)");
  assertEquals(await bus.extend(token), { done: [], unknown: [token] });
  assertEquals(codeOf(() => bus.extend(token, 1)), "bad_option");
});

Deno.test("MessageBus.pull that waits is served when a lease ends, when a message is handed back, when a key is free", async () => {
  const { bus, clock, putKeyed, lease } = setUp();
  const answers: (string | undefined)[] = [];
  const wait = async () => void answers.push(seen(await bus.pull("t", { ...LEASE, leaseMs: 100_000, waitMs: 60_000 })));
  const turn = async () => {
    clock.flush();
    await settle();
  };
  putKeyed("k:1", "k:2");
  const first = lease();
  for (let i = 0; i < 4; i++) wait();
  await turn();
  assertEquals(answers, []);
  clock.tick(10_020);
  await turn();
  assertEquals(answers, ["k:1 (2)"]);
  const { lease: token = "" } = first;
  assertEquals((await bus.ack(token)).unknown, [token]);
  putKeyed("l:1");
  await turn();
  assertEquals(answers, ["k:1 (2)", "l:1"]);
});

Deno.test("MessageBus.pull that waits in a group is not served what another group gets", async () => {
  const { bus, clock, put } = setUp();
  put("a");
  const answers: string[] = [];
  const wait = (group: string) =>
    void bus.pull("t", { group, from: "latest", waitMs: 1000 }).then((message) =>
      answers.push(`${group} ${seen(message)}`)
    );
  for (const group of ["g", "h", "h"]) wait(group);
  put("b");
  clock.flush();
  await settle();
  assertEquals(answers, ["g b", "h b"]);
  clock.tick(1000);
  await settle();
  assertEquals(answers, ["g b", "h b", "h undefined"]);
});

Deno.test("MessageBus.pull that waits for a group before its topic exists gets the first message", async () => {
  const { bus, clock, put } = setUp();
  const answer = bus.pull("t", { group: "g", from: "latest", waitMs: 1000 });
  put("a", "b");
  clock.flush();
  assertEquals(seen(await answer), "a");
});

Deno.test("MessageBus.get hands out messages of one key one after the other, and others meanwhile", async () => {
  const { bus, putKeyed, lease, get, stats } = setUp();
  putKeyed("k:1", "k:2", "l:1", "k:3", "m:1");
  const k1 = lease();
  assertEquals([get(), get(), get()], ["l:1", "m:1", undefined]);
  const { blocked, leased, lag } = stats()!;
  assertEquals({ blocked, leased, lag }, { blocked: 2, leased: 3, lag: 2 });
  await bus.ack(k1.lease!);
  const k2 = lease();
  assertEquals([seen(k2), get()], ["k:2", undefined]);
  await bus.nack(k2.lease!, { delayMs: 5000 });
  assertEquals(get(), undefined);
});

Deno.test("MessageBus.get keeps a key to its message through delay and expired lease, until that is done", async () => {
  const { bus, clock, putKeyed, lease, get } = setUp();
  putKeyed("k:1", "k:2");
  await bus.nack(lease().lease!, { delayMs: 5000 });
  assertEquals(get(), undefined);
  clock.tick(5000);
  const again = lease();
  assertEquals([seen(again), get()], ["k:1 (2)", undefined]);
  clock.tick(10_000);
  const third = lease();
  assertEquals([seen(third), get()], ["k:1 (3)", undefined]);
  await bus.ack(third.lease!);
  assertEquals(get(), "k:2");
});

Deno.test("MessageBus.get without lease passes over a key that is held, too, and holds none itself", async () => {
  const { bus, putKeyed, lease, get, all } = setUp();
  putKeyed("k:1", "k:2", "l:1", "l:2");
  const k1 = lease();
  assertEquals(all({ group: "g" }), ["l:1", "l:2"]);
  await bus.ack(k1.lease!);
  assertEquals(get({ group: "g" }), "k:2");
});

Deno.test("MessageBus.get holds keys in one group only, and not a message without a key", () => {
  const { bus, put, putKeyed, get } = setUp();
  putKeyed("k:1", "k:2");
  put("free", "free too");
  assertEquals([get(), get({ ...LEASE, group: "h" })], ["k:1", "k:1"]);
  assertEquals([get(), get(), get()], ["free", "free too", undefined]);
  assertEquals(bus.get("t", { group: "i" })?.key, "k");
});

Deno.test("MessageBus.get frees the key of a message that expires, or becomes a dead letter", async () => {
  const { bus, clock, lease, get } = setUp({ maxAttempts: 1 });
  bus.put("t", "k:1", { key: "k", ttlMs: 3000 });
  bus.put("t", "k:2", { key: "k" });
  bus.put("t", "k:3", { key: "k" });
  lease();
  assertEquals(get(), undefined);
  clock.tick(3000);
  const second = lease();
  assertEquals(seen(second), "k:2");
  await bus.nack(second.lease!);
  assertEquals([get(), bus.get("t/-dead")?.text()], ["k:3", "k:2"]);
});

Deno.test("MessageBus.get is refused with too_many_leased when a group has maxLeased messages that aren't done", async () => {
  const { bus, clock, put, lease, get, stats } = setUp({ maxLeased: 2 });
  put("a", "b", "c");
  const [a] = [lease(), lease()];
  assertEquals(codeOf(() => lease()), "too_many_leased");
  assertEquals(await codeOfRejection(bus.pull("t", { ...LEASE, waitMs: 1000 })), "too_many_leased");
  assertEquals(get({ group: "g" }), "c");
  put("d");
  await bus.ack(a.lease!);
  assertEquals(get(), "d");
  clock.tick(10_000);
  put("e");
  assertEquals([get(), get(), stats()?.leased], ["b (2)", "d (2)", 2]);
  assertThrows(() => lease());
});

Deno.test("MessageBus.get counts messages that it has passed over towards maxLeased", async () => {
  const { bus, putKeyed, lease, get } = setUp({ maxLeased: 2 });
  putKeyed("k:1", "k:2", "k:3", "l:1");
  const k1 = lease();
  assertEquals(codeOf(() => lease()), "too_many_leased");
  assertEquals(codeOf(() => get({ group: "g" })), "too_many_leased");
  await bus.ack(k1.lease!);
  assertEquals(get(), "k:2");
});

Deno.test("MessageBus.pullBatch gives what there is room for", async () => {
  const { bus, put } = setUp({ maxLeased: 3 });
  put("a", "b", "c", "d", "e");
  const batch = (options: PullBatchOptions) =>
    bus.pullBatch("t", { ...LEASE, ...options }).then(({ messages }) => messages.map((message) => message.text()));
  assertEquals([await batch({ limit: 2 }), await batch({ limit: 2 })], [["a", "b"], ["c"]]);
  assertEquals(await codeOfRejection(batch({})), "too_many_leased");
});

Deno.test("MessageBus.pullBatch ends before a hole, and the next one tells it", async () => {
  const { bus, clock } = setUp();
  for (const [payload, ttlMs] of [["a", 0], ["b", 1000], ["c", 0], ["d", 0]] as const) bus.put("t", payload, { ttlMs });
  clock.tick(1000);
  for (const group of ["", "g"]) {
    const first = await bus.pullBatch("t", { group });
    const second = await bus.pullBatch("t", { group });
    assertEquals([first.messages.map(seen), first.gap], [["a"], undefined]);
    assertEquals([second.messages.map(seen), lineOf(second.gap)], [["c", "d"], "gap t 1-1 expired"]);
  }
});

Deno.test("Group counts as lost what leaves the log before it is done, and answers done for its lease", async () => {
  const { bus, clock, lease, get, stats } = setUp();
  for (const payload of ["leased", "handed back", "new"]) bus.put("t", payload, { ttlMs: 5000 });
  const leased = lease();
  await bus.nack(lease().lease!, { delayMs: 1000 });
  clock.tick(5000);
  assertEquals([get(), stats()?.lost, stats()?.leased], [undefined, 3, 1]);
  assertEquals((await bus.ack(leased.lease!)).done, [leased.lease!]);
  assertEquals([stats()?.leased, stats()?.cursor], [0, `3@${leased.topic.epoch}`]);
});

Deno.test("MessageBus.groups counts as lost what is gone though nobody has pulled since", () => {
  const { bus, clock, put, lease, stats } = setUp();
  put("a");
  lease();
  for (const payload of ["b", "c"]) bus.put("t", payload, { ttlMs: 1000 });
  clock.tick(1000);
  put("d");
  assertEquals([stats()?.lost, stats()?.lag], [2, 1]);
  assertEquals(lease().text(), "d");
  assertEquals([stats()?.lost, stats()?.lag], [2, 0]);
});

Deno.test("Group hands out no message again that has left the log while it was leased", async () => {
  const { bus, clock, put, lease, get } = setUp({ maxMessages: 1 });
  put("a");
  const a = lease();
  put("b");
  const b = lease();
  put("c");
  clock.tick(10_000);
  assertEquals([get(), get()], ["c", undefined]);
  assertEquals((await bus.ack([a.lease!, b.lease!])).unknown, [a.lease!, b.lease!]);
});

Deno.test("MessageBus.groups describes the queue and every group", async () => {
  const { bus, clock, put, lease } = setUp({ ttlMs: 30_000 });
  put("a", "b", "c", "d");
  const { topic: { epoch } } = lease();
  const b = lease();
  await bus.ack(lease().lease!);
  await bus.nack(b.lease!, { delayMs: 60_000 });
  clock.tick(2000);
  const common = { topic: "t", blocked: 0, dead: 0, lost: 0, waiters: 0, oldestUnackedMs: 2000, idleMs: 2000 };
  const expected: GroupStats[] = [
    {
      ...common,
      group: "",
      cursor: `0@${epoch}`,
      lag: 4,
      leased: 0,
      waiting: 0,
      attempts: 0,
      acked: 0,
      warning: undefined,
    },
    {
      ...common,
      group: "g",
      cursor: `0@${epoch}`,
      lag: 2,
      leased: 1,
      waiting: 1,
      attempts: 1,
      acked: 1,
      warning:
        "messages are kept for 30s, less than lease x max-attempts (10s x 5): they may be lost before they are " +
        "done; publish with a longer ttl",
    },
  ];
  assertEquals(bus.groups("t"), expected);
  assertEquals([bus.groups().map(({ group }) => group), bus.groups("missing")], [["g"], []]);
});

Deno.test("MessageBus.groups warns only if messages could expire before their last attempt", () => {
  const warned = (options: BusOptions, leaseMs: number) => {
    const { put, bus } = setUp(options);
    put("a");
    bus.get("t", { group: "g", leaseMs });
    return bus.groups("t")[1]!.warning !== undefined;
  };
  assertEquals(warned({ ttlMs: 50_000 }, 10_001), true);
  assertEquals(warned({ ttlMs: 50_000 }, 10_000), false);
  assertEquals(warned({ ttlMs: 0 }, 3_600_000), false);
  assertEquals(warned({ ttlMs: 1000, maxAttempts: 0 }, 10_000), false);
  const { bus } = setUp({ ttlMs: 1000 });
  bus.put("t", "a", { ttlMs: 0 });
  bus.get("t", { group: "g", leaseMs: 10_000 });
  assertEquals(bus.groups("t")[1]!.warning, undefined);
  bus.put("t", "b");
  assertEquals(typeof bus.groups("t")[1]!.warning, "string");
});

Deno.test("MessageBus.deleteGroup forgets a group with its leases, and not the queue", async () => {
  const { bus, put, lease, get } = setUp();
  put("a", "b");
  const { lease: token = "" } = lease();
  assertEquals(await bus.deleteGroup("t", "g"), true);
  assertEquals([await bus.deleteGroup("t", "g"), await bus.deleteGroup("missing", "g")], [false, false]);
  assertEquals(await bus.ack(token), { done: [], unknown: [token] });
  assertEquals(get(), "a");
  assertEquals(await codeOfRejection(bus.deleteGroup("t", "")), "bad_group");
});

Deno.test("MessageBus.delete ends the groups of a topic and their leases", async () => {
  const { bus, clock, put, lease, get } = setUp();
  put("a", "b");
  const { lease: token = "" } = lease();
  await bus.delete("t");
  put("c");
  assertEquals([await bus.ack(token), get(), get()], [{ done: [], unknown: [token] }, "c", undefined]);
  clock.tick(60_000);
  assertEquals(bus.totals().leased, 1);
});

Deno.test("MessageBus forgets a group that nobody has used for groupIdleMs, and never the queue", () => {
  const { bus, clock, put, get, stats } = setUp({ groupIdleMs: 60_000 });
  put("a", "b");
  assertEquals([get({ group: "g" }), get({})], ["a", "a"]);
  clock.tick(59_000);
  assertEquals([get({ group: "g" }), get({ group: "g" })], ["b", undefined]);
  clock.tick(59_000);
  assert(stats() !== undefined);
  clock.tick(1020);
  assertEquals(bus.groups("t").map(({ group }) => group), [""]);
  assertEquals([get({ group: "g" }), get({})], ["a", "b"]);
});

Deno.test("MessageBus keeps a group as long as a pull waits in it", async () => {
  const { bus, clock, put, stats } = setUp({ groupIdleMs: 60_000 });
  put("a");
  const waiting = bus.pull("t", { group: "g", from: "latest", waitMs: 200_000 });
  clock.tick(199_000);
  assertEquals(stats()?.waiters, 1);
  clock.tick(2000);
  await waiting;
  clock.tick(60_020);
  assertEquals(stats(), undefined);
});

Deno.test("MessageBus with discard new drops only what every group is done with", async () => {
  const { bus, put, lease, get } = setUp({ discard: "new", maxMessages: 2 });
  put("a", "b");
  const a = lease();
  const b = lease();
  // The queue, which nobody uses, doesn't keep them.
  await bus.ack(b.lease!);
  assertEquals(codeOf(() => put("c")), "topic_full");
  await bus.ack(a.lease!);
  put("c", "d");
  assertEquals(get({ group: "other" }), "c");
  assertEquals([get(), get()], ["c", "d"]);
  assertEquals(codeOf(() => put("e", "f")), "topic_full");
});

Deno.test("MessageBus with discard new drops what groups are done with though nobody has pulled since", async () => {
  const { bus, clock, lease } = setUp({ discard: "new", maxMessages: 2, maxAttempts: 1 });
  bus.put("t", "a");
  bus.put("t", "b");
  lease();
  clock.tick(10_020);
  // It is a dead letter.
  bus.put("t", "c");
  assertEquals(codeOf(() => bus.put("t", "d")), "topic_full");
  assertEquals((await bus.browse("t"))?.messages.map((message) => message.text()), ["b", "c"]);
});

Deno.test("MessageBus with discard new counts the queue once it was used", () => {
  const { put, get } = setUp({ discard: "new", maxMessages: 2 });
  put("a", "b");
  get({});
  get({ group: "g" });
  get({ group: "g" });
  put("c");
  assertEquals(codeOf(() => put("d")), "topic_full");
  get({});
  put("d");
});

Deno.test("Group hands out what is retained around a message that expires while it is leased, and is done with that", async () => {
  const { bus, clock, lease, stats } = setUp();
  for (const [payload, ttlMs] of [["a", 0], ["b", 500], ["c", 0]] as const) bus.put("t", payload, { ttlMs });
  const [a, b, c] = [lease(), lease(), lease()];
  clock.tick(500);
  assertEquals([stats()?.lost, stats()?.leased], [1, 3]);
  assertEquals(await bus.ack(b.lease!), { done: [b.lease!], unknown: [] });
  await bus.nack([a.lease!, c.lease!]);
  assertEquals([lease().text(), lease().text()], ["a", "c"]);
});

Deno.test("Group lets go of a message that waits for its key and expires before the one that holds the key", async () => {
  const { bus, clock, lease, get, stats } = setUp();
  for (const ttlMs of [0, 500, 0]) bus.put("t", String(ttlMs), { key: "k", ttlMs });
  const held = lease();
  assertEquals([get(), stats()?.blocked], [undefined, 2]);
  clock.tick(500);
  assertEquals([stats()?.blocked, stats()?.lost], [1, 1]);
  await bus.ack(held.lease!);
  assertEquals(lease().id, 2);
});

Deno.test("MessageBus.pull that waits from latest gets the first message of the next topic when its own is deleted", async () => {
  const { bus, clock, put } = setUp();
  put("old");
  const pulled = bus.pull("t", { group: "g", from: "latest", waitMs: 10_000 });
  await bus.delete("t");
  put("new");
  clock.flush();
  assertEquals((await pulled)?.text(), "new");
});

Deno.test("MessageBus.delete ends the groups of a topic that never had a message, too", async () => {
  const { bus, get, put } = setUp();
  await bus.schedule("t", "later", { delayMs: 10_000 });
  get();
  await bus.delete("t");
  put("a");
  assertEquals(bus.groups("t").map(({ group }) => group), [""]);
});

Deno.test("MessageBus.pull that waits for a group of a missing topic gets its first message, whatever others ask for", async () => {
  const { bus, clock, put } = setUp();
  const pulled = bus.pull("t", { group: "g", from: "latest", waitMs: 60_000 });
  for (let i = 0; i < 5000; i++) bus.get(`other/${i}`, { group: "h" });
  put("a");
  clock.flush();
  clock.tick(60_000);
  assertEquals((await pulled)?.text(), "a");
});

Deno.test("MessageBus.get makes room for a group of a missing topic by forgetting those that nobody has used", () => {
  const { clock, get, put, bus } = setUp({ maxGroups: 1, groupIdleMs: 1000 });
  get({ group: "a" });
  assertEquals(codeOf(() => get({ group: "b" })), "too_many_groups");
  clock.tick(1000);
  get({ group: "b" });
  put("a");
  assertEquals(bus.groups("t").map(({ group }) => group), ["", "b"]);
});

Deno.test("MessageBus.groups has no times below 0 when the clock is set back", () => {
  const { bus, clock, put, get } = setUp();
  put("a");
  get();
  clock.set(-5000);
  assertEquals([0, 1].map((i) => bus.groups("t")[i]!).map((g) => [g.idleMs, g.oldestUnackedMs]), [[0, 0], [0, 0]]);
});
