import type { GroupName, LeaseHolder, Settlement } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { assertEquals } from "../deps.ts";
import { codeOf } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

/** A holder that notes what it is told. */
class Holder implements LeaseHolder {
  readonly held = new Set<string>();
  readonly told: string[] = [];

  constructor(readonly inflight: number) {}

  get room(): number {
    return this.inflight - this.held.size;
  }

  leased(token: string): void {
    this.told.push(`+${token}`);
    this.held.add(token);
  }

  released(token: string): void {
    this.told.push(`-${token}`);
    this.held.delete(token);
  }
}

const LEASE = { group: "g", leaseMs: 10_000 };

function setUp(payloads: readonly string[] = [], options: BusOptions = {}) {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  for (const payload of payloads) bus.put("t", payload);
  return { bus, clock };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
const tokensOf = ({ messages }: { messages: readonly { lease: string | undefined }[] }) =>
  messages.map(({ lease }) => lease!);

Deno.test("LeaseHolder.room is the most that a pull gives, whatever its limit", async () => {
  const { bus } = setUp(["a", "b", "c", "d"]);
  const holder = new Holder(3);
  const pull = async (limit: number) => (await bus.pullBatch("t", { ...LEASE, holder, limit })).messages.length;
  assertEquals([await pull(2), await pull(2), await pull(2)], [2, 1, 0]);
  assertEquals(bus.get("t", { ...LEASE, holder }), undefined);
  await bus.ack([...holder.held].slice(0, 1));
  assertEquals(bus.get("t", { ...LEASE, holder })?.text(), "d");
});

const ENDINGS: Readonly<Record<string, (bus: MessageBus, token: string, clock: TestClock) => unknown>> = {
  "was acknowledged": (bus, token) => bus.ack(token),
  "was handed back": (bus, token) => bus.nack(token, { count: false }),
  "was handed back for later": (bus, token) => bus.nack(token, { delayMs: 1000, count: false }),
  "was handed back for the last time": (bus, token) => bus.nack(token),
  "has ended for the last time": (_bus, _token, clock) => clock.tick(10_020),
  "is gone with its group": (bus) => bus.deleteGroup("t", "g"),
  "is gone with its topic": (bus) => bus.delete("t"),
};
for (const [ending, end] of Object.entries(ENDINGS)) {
  Deno.test(`LeaseHolder.released is told of a lease that ${ending}, once`, async () => {
    const { bus, clock } = setUp(["a"], { maxAttempts: 1 });
    const holder = new Holder(1);
    const { lease = "" } = bus.get("t", { ...LEASE, holder })!;
    assertEquals(holder.told, [`+${lease}`]);
    await end(bus, lease, clock);
    assertEquals(holder.told, [`+${lease}`, `-${lease}`]);
    await bus.close();
  });
}

Deno.test("LeaseHolder is told of leases that are made to last, and has one again that had ended", async () => {
  const { bus, clock } = setUp(["a"]);
  const holder = new Holder(1);
  const { lease = "" } = bus.get("t", { ...LEASE, holder })!;
  await bus.extend(lease);
  assertEquals([...holder.held], [lease]);
  clock.tick(10_020);
  assertEquals([...holder.held], []);
  await bus.extend(lease);
  assertEquals([...holder.held], [lease]);
});

Deno.test("LeaseHolder has no more what another one was handed out, and is not told of that one", async () => {
  const { bus, clock } = setUp(["a"]);
  const [first, second] = [new Holder(1), new Holder(1)];
  bus.get("t", { ...LEASE, holder: first });
  clock.tick(10_020);
  const { lease = "" } = bus.get("t", { ...LEASE, holder: second })!;
  await bus.ack(lease);
  assertEquals([first.held.size, first.told.length, second.told], [0, 2, [`+${lease}`, `-${lease}`]]);
});

Deno.test("LeaseHolder has a message that has left its topic until its lease ends", () => {
  const { bus, clock } = setUp(["a"], { ttlMs: 1000 });
  const holder = new Holder(1);
  bus.get("t", { ...LEASE, holder });
  clock.tick(5000);
  assertEquals([bus.topic("t")?.length, holder.held.size], [0, 1]);
  clock.tick(5020);
  assertEquals(holder.held.size, 0);
});

Deno.test("MessageBus.pullBatch for holders that wait gives each its share of what comes at once", async () => {
  const { bus, clock } = setUp(["-"]);
  bus.makeGroup("t", { group: "g", from: "latest" });
  const waiting = [100, 2, 100, 100].map((inflight) =>
    bus.pullBatch("t", { ...LEASE, holder: new Holder(inflight), waitMs: 1000 })
  );
  const poll = bus.pull("t", { ...LEASE, waitMs: 1000 });
  await settled();
  bus.publish("t", Array.from({ length: 90 }, (_, i) => `${i}`));
  await settled();
  clock.flush();
  const batches = (await Promise.all(waiting)).map(({ messages }) => messages.map(({ id }) => id));
  // The second has room for two; what it leaves is shared among those after it.
  assertEquals(batches.map((ids) => ids.length), [18, 2, 24, 23]);
  assertEquals([...batches.flat(), (await poll)?.id], Array.from({ length: 68 }, (_, i) => i + 1));
});

Deno.test("MessageBus.pullBatch gives who waits without a holder all that it asks for", async () => {
  const { bus, clock } = setUp(["-"]);
  bus.makeGroup("t", { group: "g", from: "latest" });
  const waiting = [1, 2].map(() => bus.pullBatch("t", { ...LEASE, limit: 4, waitMs: 1000 }));
  await settled();
  await bus.publish("t", ["a", "b", "c", "d", "e"]);
  clock.flush();
  assertEquals((await Promise.all(waiting)).map(({ messages }) => messages.length), [4, 1]);
});

type Settle = (bus: MessageBus, tokens: readonly string[], of: GroupName) => Promise<Settlement>;

const METHODS: Readonly<Record<string, Settle>> = {
  ack: (bus, tokens, of) => bus.ack(tokens, { of }),
  nack: (bus, tokens, of) => bus.nack(tokens, { of }),
  extend: (bus, tokens, of) => bus.extend(tokens, 60_000, { of }),
};

for (const [method, settle] of Object.entries(METHODS)) {
  Deno.test(`MessageBus.${method} of one group knows no tokens of others, and leaves those alone`, async () => {
    const { bus, clock } = setUp(["a", "b"]);
    bus.put("u", "c");
    const mine = bus.get("t", LEASE)!.lease!;
    const others = [
      bus.get("t", { ...LEASE, group: "h" })!.lease!,
      bus.get("t", { leaseMs: 10_000 })!.lease!,
      bus.get("u", LEASE)!.lease!,
    ];
    clock.tick(5000);
    const all = [others[0]!, mine, others[1]!, "nonsense", others[2]!];
    const { done, unknown } = await settle(bus, all, { topic: "/t/", group: "g" });
    assertEquals([done, unknown], [[mine], [others[0], others[1], "nonsense", others[2]]]);
    const untouched = bus.groups().filter(({ topic, group }) => topic !== "t" || group !== "g");
    assertEquals(untouched.map(({ leased, idleMs }) => [leased, idleMs]), [[1, 5000], [1, 5000], [1, 5000]]);
    assertEquals((await bus.ack(others)).done, others);
    assertEquals(codeOf(() => settle(bus, [mine], { topic: "a//b", group: "g" })), "bad_topic");
  });
}

Deno.test("MessageBus.makeGroup begins a group where it says, and takes nothing", () => {
  const { bus } = setUp(["a", "b"]);
  bus.makeGroup("t", { group: "g", from: "latest" });
  bus.makeGroup("t", { group: "g", from: "earliest" });
  bus.put("t", "c");
  bus.makeGroup("later", { group: "g", from: "latest" });
  bus.put("later", "d");
  bus.put("later", "e");
  assertEquals([bus.get("t", LEASE)?.text(), bus.get("t", LEASE)], ["c", undefined]);
  assertEquals([bus.get("later", LEASE)?.text(), bus.get("later", LEASE)?.text()], ["d", "e"]);
  assertEquals(bus.totals().pulled, 3);
});

for (
  const [what, topic, options, code] of [
    ["a wrong topic", "a//b", {}, "bad_topic"],
    ["a wrong group", "t", { group: "a/b" }, "bad_group"],
    ["a wrong group of a topic that is missing", "u", { group: "-a" }, "bad_group"],
    ["one group too many", "t", { group: "second" }, "too_many_groups"],
    ["a wrong lease", "t", { leaseMs: 1 }, "bad_option"],
    ["a wrong beginning", "t", { from: { last: -1 } }, "bad_cursor"],
  ] as const
) {
  Deno.test(`MessageBus.makeGroup refuses ${what}`, () => {
    const { bus } = setUp(["a"], { maxGroups: 1 });
    if (code === "too_many_groups") bus.makeGroup("t", { group: "g" });
    assertEquals(codeOf(() => bus.makeGroup(topic, { group: "g", ...options })), code);
  });
}

Deno.test("MessageBus.deleteGroup has those who wait make the group anew, before the next message", async () => {
  const { bus, clock } = setUp(["a"]);
  const pulled = bus.pull("t", { ...LEASE, from: "latest", waitMs: 1000 });
  await settled();
  await bus.deleteGroup("t", "g");
  clock.flush();
  bus.put("t", "b");
  clock.flush();
  assertEquals((await pulled)?.text(), "b");
});

Deno.test("MessageBus tells those who wait once of all that is to be handed out again", async () => {
  const { bus, clock } = setUp(["a", "b", "c"]);
  const { messages } = await bus.pullBatch("t", LEASE);
  const pulled = bus.pullBatch("t", { ...LEASE, waitMs: 1000 });
  await settled();
  clock.flush();
  await bus.nack(tokensOf({ messages }), { count: false });
  assertEquals(clock.deferred, 1);
  clock.flush();
  assertEquals((await pulled).messages.map(({ id, attempt }) => [id, attempt]), [[0, 1], [1, 1], [2, 1]]);
});
