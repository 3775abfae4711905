import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { BusError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assert, assertEquals, assertThrows, fc } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { type Fate, RemoteLog, RemoteStore } from "./remote_store.ts";
import { TestClock } from "./test_clock.ts";

const FULL = new BusError("disk_full", "Cannot write: the disk is full");
const LEASE = { group: "g", leaseMs: 10_000 };

async function setUp(texts: readonly string[], options: BusOptions & { key?: string } = {}) {
  const { key, ...rest } = options;
  const store = new LaterStore();
  const clock = new TestClock();
  const bus = new MessageBus({ store, clock, ttlMs: 0, ...rest });
  const through = async <T>(promise: Promise<T>): Promise<T> => {
    while (store.waiting.length > 0) await store.answer();
    return await promise;
  };
  for (const text of texts) await through(bus.publish("t", text, { key }));
  /** What a pull ends in that the store refuses. */
  const refused = async (promise: Promise<unknown>): Promise<string> => {
    const ended = promise.then(() => "nothing", (error) => error.message);
    await store.refuse();
    return await ended;
  };
  const pulled = async (options: Parameters<typeof bus.pullBatch>[1]) => {
    const { messages } = await through(bus.pullBatch("t", options));
    return messages.map((message) => `${message.text()} ${message.attempt ?? "taken"}`);
  };
  return { store, clock, bus, through, refused, pulled };
}

Deno.test("MessageBus.pull throws what the store says that can't be changed, and takes nothing", async () => {
  const { store, bus, pulled } = await setUp(["a", "b"]);
  const before = bus.groups("t");
  store.refusal = FULL;
  for (const options of [{}, { leaseMs: 1000 }, { limit: 2 }]) {
    assertEquals(await codeOfRejection(bus.pullBatch("t", options)), "disk_full");
  }
  assertEquals([bus.groups("t"), store.waiting], [before, []]);
  store.refusal = undefined;
  assertEquals(await pulled({}), ["a taken", "b taken"]);
});

Deno.test("MessageBus.pull that finds nothing says so, though the store can't be changed", async () => {
  const { store, bus, through } = await setUp(["a"]);
  await through(bus.pull("t"));
  store.refusal = FULL;
  assertEquals([await bus.pull("t"), await bus.pull("u"), await bus.pull("t", { group: "new", from: "latest" })], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(store.waiting, []);
});

Deno.test("MessageBus.pull that waits ends in what the store says when there is something that it can't take", async () => {
  const { store, bus, clock, through } = await setUp([]);
  const waiting = bus.pull("t", { waitMs: 1000 });
  await through(bus.publish("t", "a"));
  store.refusal = FULL;
  const ended = codeOfRejection(waiting);
  clock.flush();
  assertEquals(await ended, "disk_full");
});

Deno.test("MessageBus.ack, nack and extend throw what the store says that can't be changed, and the lease stays", async () => {
  const { store, bus, through } = await setUp(["a"]);
  const { lease } = (await through(bus.pull("t", LEASE)))!;
  const before = bus.groups("t");
  store.refusal = FULL;
  for (const settle of [() => bus.ack(lease!), () => bus.nack(lease!), () => bus.extend(lease!)]) {
    assertEquals(codeOf(settle), "disk_full");
  }
  assertEquals(bus.groups("t"), before);
  assertEquals((await bus.ack("unknown")).unknown, ["unknown"]);
  store.refusal = undefined;
  assertEquals((await through(bus.ack(lease!))).done, [lease!]);
});

Deno.test("MessageBus.deleteGroup throws what the store says that can't be changed, and the group stays", async () => {
  const { store, bus, through } = await setUp(["a"]);
  await through(bus.pull("t", LEASE));
  store.refusal = FULL;
  assertEquals(await codeOfRejection(bus.deleteGroup("t", "g")), "disk_full");
  assertEquals([bus.groups("t").length, store.waiting], [2, []]);
});

Deno.test("MessageBus.pull that the store refuses later gives its messages to the next, before anything new", async () => {
  const { store, bus, refused, pulled } = await setUp(["a", "b", "c"]);
  const first = bus.pullBatch("t", { limit: 2 });
  const later = bus.pull("t");
  assertEquals(await refused(first), "the disk is full");
  await store.answer();
  assertEquals((await later)?.text(), "c");
  const [{ cursor, lag, acked }] = bus.groups("t") as [ReturnType<typeof bus.groups>[0]];
  assertEquals([cursor.split("@")[0], lag, acked], ["0", 2, 1]);
  assertEquals(store.waiting, []);
  assertEquals(await pulled({}), ["a taken", "b taken"]);
});

Deno.test("MessageBus.pull that the store refuses tells it, with the next change, that nothing was taken", async () => {
  const { store, bus, refused } = await setUp(["a", "b"]);
  const first = bus.pull("t");
  await refused(first);
  const next = bus.pull("t", { leaseMs: 1000 });
  assertEquals(store.waiting, ["advance t to 1, 0 has 0, 0 has 1"]);
  await store.answer();
  assertEquals((await next)?.attempt, 1);
});

Deno.test("MessageBus.pull that the store refuses doesn't count as an attempt, of a message that was handed out before neither", async () => {
  const { bus, through, refused, pulled } = await setUp(["a"], { maxAttempts: 2 });
  await through(bus.nack((await through(bus.pull("t", LEASE)))!.lease!));
  assertEquals(await refused(bus.pull("t", LEASE)), "the disk is full");
  assertEquals(await refused(bus.pull("t", { group: "g" })), "the disk is full");
  assertEquals(bus.groups("t").find(({ group }) => group === "g")?.attempts, 1);
  assertEquals(await pulled({ group: "g" }), ["a 2"]);
});

Deno.test("messages of a key come in their order after the store has refused several pulls of them", async () => {
  for (const [first, second] of [[{ group: "g" }, LEASE], [LEASE, { group: "g" }]]) {
    const { bus, store, refused, pulled, through } = await setUp(["a", "b"], { key: "k" });
    const a = bus.pull("t", first);
    const b = bus.pull("t", second);
    assertEquals(await refused(a), "the disk is full");
    // A lease of the first keeps the key, so that there is nothing to refuse.
    if (first === LEASE) assertEquals(await through(b), undefined);
    else assertEquals(await refused(b), "the disk is full");
    assertEquals(store.waiting, []);
    assertEquals(await pulled({ ...LEASE, limit: 2 }), ["a 1"]);
    const [item] = bus.groups("t").filter(({ group }) => group === "g");
    assertEquals([item?.leased, item?.blocked], [1, 1]);
  }
});

Deno.test("a message of a key that goes back waits for a later one that is out, and comes before it if that goes back, too", async () => {
  const { bus, store, refused, pulled, through } = await setUp(["a", "b"], { key: "k" });
  const a = bus.pull("t", { group: "g" });
  const b = bus.pull("t", LEASE);
  assertEquals(await refused(a), "the disk is full");
  await store.answer();
  const { lease } = (await b)!;
  assertEquals(await pulled({ ...LEASE, limit: 2 }), []);
  await through(bus.nack(lease!));
  assertEquals(await pulled({ ...LEASE, limit: 2 }), ["a 1"]);
});

Deno.test("MessageBus.pull that the store refuses tells its gap to the next", async () => {
  const { bus, clock, through, refused } = await setUp([]);
  await through(bus.publish("t", "a", { ttlMs: 1000 }));
  await through(bus.publish("t", "b"));
  clock.tick(1000);
  assertEquals(await refused(bus.pullBatch("t")), "the disk is full");
  const { messages, gap } = await through(bus.pullBatch("t"));
  assertEquals([messages.length, gap?.from, gap?.to], [1, 0, 0]);
});

Deno.test("MessageBus.pull that the store refuses gives back nothing that has left the log meanwhile", async () => {
  const { bus, clock, through, refused, pulled } = await setUp([]);
  await through(bus.publish("t", ["a", "b"], { ttlMs: 1000 }));
  const both = [bus.pull("t"), bus.pull("t", { leaseMs: 5000 })];
  clock.tick(1000);
  bus.groups();
  assertEquals([await refused(both[0]!), await refused(both[1]!)], ["the disk is full", "the disk is full"]);
  const [{ lost, acked, leased, waiting }] = bus.groups("t") as [ReturnType<typeof bus.groups>[0]];
  assertEquals({ lost, acked, leased, waiting }, { lost: 2, acked: 0, leased: 0, waiting: 0 });
  assertEquals(await pulled({}), []);
});

Deno.test("MessageBus.pull that the store refuses brings nothing back of a topic or a group that is gone", async () => {
  const { bus, store, through } = await setUp(["a", "b"]);
  const pulls = [bus.pull("t", LEASE), bus.pull("t", { group: "h" })].map((pull) => pull.catch(() => {}));
  const deleted = bus.deleteGroup("t", "g");
  await store.refuse();
  await store.refuse();
  await store.answer();
  assertEquals([await deleted, bus.groups("t").map(({ group }) => group)], [true, ["", "h"]]);
  await through(bus.delete("t"));
  await Promise.all(pulls);
  assertEquals(bus.groups(), []);
});

Deno.test("a message that has become a dead letter is not told as one that isn't done, though its nack was refused", async () => {
  const { bus, store, through, refused } = await setUp(["a", "b"], { maxAttempts: 1 });
  const { lease } = (await through(bus.pull("t", LEASE)))!;
  const nacked = bus.nack(lease!);
  assertEquals(await refused(nacked), "the disk is full");
  const next = bus.pull("t", LEASE);
  assertEquals(store.waiting, ["append 1 to t/-dead, g of t has 0 done", "advance t g to 2, 1 has 1"]);
  await through(next);
  assertEquals(bus.groups("t").find(({ group }) => group === "g")?.dead, 1);
});

Deno.test("a message that has left the log is not told as one that isn't done, though the pull that took it was refused", async () => {
  const { bus, clock, store, through, refused } = await setUp(["x"]);
  await through(bus.publish("t", "a", { ttlMs: 1000 }));
  await through(bus.pull("t", LEASE));
  const pull = bus.pull("t", { ...LEASE, leaseMs: 5000 });
  clock.tick(1000);
  bus.groups();
  assertEquals(await refused(pull), "the disk is full");
  const next = bus.pull("t", LEASE);
  assertEquals(store.waiting, ["advance t g to 2, 1 done, 1 done"]);
  await through(next);
});

Deno.test("MessageBus.get that a synchronous store refuses throws, and takes nothing", () => {
  const store = Object.assign(new MemoryStore(), {
    full: false,
    note() {
      if (store.full) throw new Error("the disk is full");
    },
  });
  const bus = new MessageBus({ store, clock: new TestClock(), ttlMs: 0 });
  bus.put("t", "a");
  bus.put("t", "b");
  store.full = true;
  for (const options of [{}, { leaseMs: 1000 }]) {
    assertThrows(() => bus.get("t", options), Error, "the disk is full");
  }
  store.full = false;
  assertEquals([bus.get("t", { leaseMs: 1000 })?.attempt, bus.get("t")?.text()], [1, "b"]);
});

Deno.test("MessageBus.ack that a synchronous store refuses rejects, and is told with the next change", async () => {
  const told: number[][] = [];
  const store = Object.assign(new MemoryStore(), {
    full: false,
    note(_: unknown, { done }: { done: readonly number[] }) {
      if (store.full) throw new Error("the disk is full");
      told.push([...done]);
    },
  });
  const bus = new MessageBus({ store, clock: new TestClock(), ttlMs: 0 });
  bus.put("t", "a");
  bus.put("t", "b");
  const { lease } = bus.get("t", { leaseMs: 1000 })!;
  store.full = true;
  assertEquals(await bus.ack(lease!).catch((error) => error.message), "the disk is full");
  store.full = false;
  bus.get("t");
  assertEquals([told, bus.groups("t")[0]?.acked], [[[], [0]], 2]);
});

type Step = {
  readonly do: "publish" | "pull" | "lease" | "ack" | "nack" | "take" | "refuse" | "lose" | "heed" | "kill";
};
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(
    ...["publish", "pull", "pull", "lease", "lease", "ack", "nack", "take", "take", "refuse", "lose"] as const,
    ...["heed", "heed", "heed", "kill"] as const,
  ),
});

Deno.test("MessageBus loses no message and gives none twice, whatever its store refuses, and though it is killed in between", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), fc.boolean(), async (steps, isKeyed) => {
      const log = new RemoteLog(0);
      const clock = new TestClock();
      let store = new RemoteStore(log);
      let bus = await MessageBus.open({ store, clock, ttlMs: 0, maxAttempts: 0 });
      const published = new Set<string>();
      const taken: string[] = [];
      /** What an answered acknowledgement is for. */
      const done: string[] = [];
      /** Which were acknowledged, but the store has refused that: they may come again if the bus is killed. */
      const undone = new Set<string>();
      let leases: { text: string; token: string }[] = [];
      let count = 0;
      const settle = async () => {
        await store.settle();
        clock.flush();
        await store.settle();
      };
      const fates: Partial<Record<Step["do"], Fate>> = { take: "taken", refuse: "refused", lose: "request lost" };
      for (const { do: what } of steps) {
        const text = `${count}`;
        const fate = fates[what];
        if (fate !== undefined) store.take(fate);
        else if (what === "publish") {
          count++;
          const key = isKeyed ? `${count % 2}` : undefined;
          bus.publish("t", text, { key }).then(() => published.add(text), () => {});
        } else if (what === "pull") {
          bus.pull("t").then((message) => message && taken.push(message.text()), () => {});
        } else if (what === "lease") {
          bus.pull("t", { leaseMs: 60_000 }).then((message) => {
            if (message !== undefined) leases.push({ text: message.text(), token: message.lease! });
          }, () => {});
        } else if (what === "ack" && leases.length > 0) {
          const { text, token } = leases.shift()!;
          bus.ack(token).then(({ done: [is] }) => is && done.push(text), () => undone.add(text));
        } else if (what === "nack" && leases.length > 0) bus.nack(leases.shift()!.token).catch(() => {});
        else if (what === "heed") store.heed();
        else if (what === "kill") {
          await settle();
          store.close();
          leases = [];
          store = new RemoteStore(log);
          bus = await MessageBus.open({ store, clock, ttlMs: 0, maxAttempts: 0 });
        }
        for (let i = 0; i < 10; i++) await undefined;
      }
      await settle();
      // Everything that is left, with what is leased handed back.
      await Promise.all([bus.nack(leases.map(({ token }) => token)), settle()]);
      for (;;) {
        const pull = bus.pull("t");
        await settle();
        const message = await pull;
        if (message === undefined) break;
        taken.push(message.text());
      }
      const all = [...taken, ...done];
      assertEquals(all.length, new Set(all).size, "twice");
      assert([...published].every((text) => all.includes(text) || undone.has(text)), `${[...published]} but ${all}`);
    }),
    { numRuns: 500 },
  );
});
