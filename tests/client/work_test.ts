import type { GroupStats } from "../../lib/bus/answers.ts";
import { LeaseLost, Retry, type WorkContext } from "../../lib/client/work.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import type { Message } from "../../lib/message.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "../deps.ts";
import { settled } from "../http/direct.ts";
import { type DirectBus, directBus } from "./direct_bus.ts";

async function rejected(promise: Promise<unknown>, code: ErrorCode): Promise<BusError> {
  const error = await assertRejects(() => promise, BusError);
  assertEquals(error.code, code, error.message);
  return error;
}

/** A handler that is given messages, and ends when the test says how. */
function desk() {
  const begun: Desk[] = [];
  let bell = Promise.withResolvers<void>();
  return {
    /** All that was begun. */
    begun,
    handler(message: Message, { signal }: WorkContext): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      begun.push({ message, signal, finish: resolve, fail: reject });
      bell.resolve();
      bell = Promise.withResolvers();
      return promise;
    },
    /** The message that is begun as number `index`. */
    async at(index: number): Promise<Desk> {
      while (begun.length <= index) await bell.promise;
      return begun[index]!;
    },
  };
}

interface Desk {
  readonly message: Message;
  readonly signal: AbortSignal;
  finish(): void;
  fail(error: unknown): void;
}

/** The group that a worker of these tests has. */
function group({ bus }: DirectBus, name = "g"): GroupStats {
  return bus.groups("t").find((group) => group.group === name)!;
}

/** The bus does what is due at about the same time at once. */
const SLACK_MS = 20;

/** The query of a request. */
function queryOf(request: string): Record<string, string | undefined> {
  return Object.fromEntries(new URL(request.split(" ")[1]!, "http://bus").searchParams);
}

/** Lets the event loop turn until it is so. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns === 2_000) throw new Error(`It is never so: ${condition}`);
    await settled();
  }
}

Deno.test("Client.work acknowledges what its handler has returned from, in the order of the topic", async () => {
  await using direct = directBus();
  for (const text of ["a", "b", "c"]) direct.bus.put("t", text);
  const seen: string[] = [];
  const worker = direct.client.work("/t/", { ...direct.world, group: "g" }, (message) => {
    seen.push(`${message.id} ${message.text()} ${message.attempt}`);
  });
  assertEquals([worker.topic, worker.group], ["t", "g"]);
  await until(() => group(direct)?.acked === 3);
  assertEquals(seen, ["0 a 1", "1 b 1", "2 c 1"]);
  direct.bus.put("t", "d");
  await until(() => group(direct).acked === 4);
  await worker.drain();
  assertEquals(seen.at(-1), "3 d 1");
  assertEquals([group(direct).leased, group(direct).lag], [0, 0]);
});

Deno.test("Client.work without a group works off the queue", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const worker = direct.client.work("t", direct.world, handler);
  (await at(0)).finish();
  await until(() => group(direct, "").acked === 1);
  await worker.drain();
  assertEquals(direct.asked[0], "GET /t?lease=30000ms&limit=1");
});

Deno.test("Client.work begins a group where it is told, and waits for a topic that is not there yet", async () => {
  await using direct = directBus();
  direct.bus.put("t", "old");
  const { at, begun, handler } = desk();
  const late = direct.client.work("t", { ...direct.world, group: "g", from: "latest" }, handler);
  const early = direct.client.work("u", { ...direct.world, group: "g", from: "latest" }, handler);
  await Promise.all([late.ready, early.ready]);
  await direct.askedFor("/t?group=g&from=latest&lease=30000ms&limit=1&wait=30000ms");
  await direct.askedFor("/u?group=g&from=latest&lease=30000ms&limit=1&wait=30000ms");
  direct.bus.put("t", "new");
  direct.bus.put("u", "first");
  (await at(0)).finish();
  (await at(1)).finish();
  await Promise.all([late.drain(), early.drain()]);
  assertEquals(begun.map(({ message }) => message.text()).sort(), ["first", "new"]);
});

Deno.test("Client.work handles as many messages at once as it may, and leases no more", async () => {
  await using direct = directBus();
  for (let i = 0; i < 10; i++) direct.bus.put("t", `${i}`);
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", parallel: 3 }, handler);
  await at(2);
  await settled();
  assertEquals([begun.length, group(direct).leased], [3, 3]);
  begun[1]!.finish();
  await at(3);
  await until(() => group(direct).acked === 1);
  assertEquals([begun.length, group(direct).leased], [4, 3]);
  const drained = worker.drain();
  for (const each of begun) each.finish();
  await drained;
  assertEquals([begun.length, group(direct).acked], [4, 4]);
});

Deno.test("Client.work doesn't wait for an ack before it goes on, but for too many", async () => {
  await using direct = directBus();
  for (let i = 0; i < 40; i++) direct.bus.put("t", `${i}`);
  let handled = 0;
  direct.fate = (request) => request.startsWith("POST /-/ack") ? "silent" : undefined;
  const worker = direct.client.work("t", { ...direct.world, group: "g" }, () => void handled++);
  await until(() => handled === 17);
  await settled();
  assertEquals([handled, group(direct).leased], [17, 17]);
  direct.fate = () => undefined;
  direct.clock.tick(10_000);
  await settled();
  direct.clock.tick(2_000);
  await until(() => handled === 40);
  await worker.drain();
});

Deno.test("Client.work sends acks together that are ready together", async () => {
  await using direct = directBus();
  for (let i = 0; i < 5; i++) direct.bus.put("t", `${i}`);
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", parallel: 5 }, handler);
  await at(4);
  for (const each of begun) each.finish();
  await worker.drain();
  const acks = direct.asked.filter((request) => request.startsWith("POST /-/ack"));
  assertEquals(acks, [`POST /-/ack ${JSON.stringify(begun.map(({ message }) => message.lease))}`]);
});

Deno.test("Client.work hands back what its handler throws at, later each time, and says why", async () => {
  await using direct = directBus({ maxAttempts: 4 });
  direct.bus.put("t", "a");
  const failures: unknown[] = [];
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    maxDelayMs: 3_000,
    onFailure: (error, message) => failures.push([(error as Error).message, message.attempt]),
  }, ({ attempt }) => {
    throw new Error(`no\n${attempt}`);
  });
  for (const [index, delay] of ["1000ms", "2000ms", "3000ms", "3000ms"].entries()) {
    assertEquals(queryOf(await direct.askedFor("POST /-/nack", index + 1)), { delay, reason: `no\\n${index + 1}` });
    await until(() => group(direct).leased === 0);
    direct.clock.tick(parseInt(delay) + SLACK_MS);
  }
  const dead = (await direct.client.pull("t/-dead"))!;
  assertEquals([dead.text(), dead.headers["msgbus-dead-reason"], dead.headers["msgbus-dead-attempts"]], [
    "a",
    "no\\n4",
    "4",
  ]);
  assertEquals(failures, [["no\n1", 1], ["no\n2", 2], ["no\n3", 3], ["no\n4", 4]]);
  await worker.drain();
});

Deno.test("Client.work cuts the wait for a next attempt by chance, by up to a half", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const clock = { ...direct.world.clock!, random: () => 0.5 };
  const worker = direct.client.work("t", { clock, minDelayMs: 10_000 }, () => {
    throw "not even an error";
  });
  assertEquals(queryOf(await direct.askedFor("POST /-/nack")), { delay: "7500ms", reason: "not even an error" });
  await worker.drain();
});

Deno.test("Client.work cuts a reason to what the server takes, and between characters", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const worker = direct.client.work("t", direct.world, () => {
    throw new Error(`x${"ü".repeat(2_000)}`);
  });
  assertEquals(queryOf(await direct.askedFor("POST /-/nack")).reason, `x${"ü".repeat(511)}`);
  await worker.drain();
  assertEquals(group(direct, "").waiting, 1);
});

Deno.test("Client.work takes a Retry at its word: when, and whether it counts", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const errors = [
    new Retry("busy", { count: false }),
    new Retry("still busy", { count: false }),
    new Retry("soon", { delayMs: 1.5 }),
    new Error("broken"),
  ];
  const attempts: unknown[] = [];
  const worker = direct.client.work("t", { ...direct.world, group: "g" }, ({ attempt }) => {
    attempts.push(attempt);
    const error = errors.shift();
    if (error !== undefined) throw error;
  });
  const expected: { delay: string; reason: string; count?: string }[] = [
    { delay: "1000ms", reason: "busy", count: "false" },
    { delay: "2000ms", reason: "still busy", count: "false" },
    { delay: "2ms", reason: "soon" },
    { delay: "2000ms", reason: "broken" },
  ];
  for (const [index, query] of expected.entries()) {
    assertEquals(queryOf(await direct.askedFor("POST /-/nack", index + 1)), { ...query });
    await until(() => group(direct).leased === 0);
    direct.clock.tick(parseInt(query.delay) + SLACK_MS);
  }
  await until(() => group(direct).acked === 1);
  assertEquals(attempts, [1, 1, 1, 2, 3]);
  await worker.drain();
  for (const delayMs of [-1, NaN, 12 * 3_600_000 + 1]) {
    assertEquals(assertThrows(() => new Retry("", { delayMs }), BusError).code, "bad_option");
  }
});

Deno.test("Client.work extends a lease for as long as its handler runs", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", leaseMs: 9_000 }, handler);
  const job = await at(0);
  for (let i = 1; i <= 10; i++) {
    direct.clock.tick(3_000);
    assertEquals(queryOf(await direct.askedFor("POST /-/extend", i)), { lease: "9000ms" });
    await settled();
    assertEquals(direct.bus.get("t", { group: "g" }), undefined);
  }
  assertEquals(job.signal.aborted, false);
  job.finish();
  await worker.drain();
  assertEquals([begun.length, group(direct).acked], [1, 1]);
  direct.clock.tick(60_000);
  assertEquals(direct.asked.filter((request) => request.includes("extend")).length, 10);
});

Deno.test("Client.work tries again to extend a lease, and loses nothing if that helps in time", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const lost: Message[] = [];
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    leaseMs: 9_000,
    onLost: (message) => lost.push(message),
  }, handler);
  const job = await at(0);
  direct.fate = (request) => request.includes("extend") ? "away" : undefined;
  direct.clock.tick(3_000);
  await direct.askedFor("extend", 1);
  await settled();
  // A sixth of the lease, each time.
  direct.clock.tick(1_500);
  await direct.askedFor("extend", 2);
  await settled();
  direct.fate = () => undefined;
  direct.clock.tick(1_500);
  await direct.askedFor("extend", 3);
  await settled();
  direct.clock.tick(8_999 - 3_000);
  await direct.askedFor("extend", 4);
  await settled();
  assertEquals([job.signal.aborted, group(direct).leased], [false, 1]);
  job.finish();
  await worker.drain();
  assertEquals([lost, group(direct).acked], [[], 1]);
});

Deno.test("Client.work notices a server that is there and never answers, and asks again", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const reasons: string[] = [];
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    onReconnect: ({ reason, waitMs }) => reasons.push(`${reason.message} ${waitMs}`),
  }, handler);
  const job = await at(0);
  direct.fate = () => "silent";
  job.finish();
  await direct.askedFor("/-/ack");
  await settled();
  direct.fate = () => undefined;
  direct.clock.tick(10_000);
  await settled();
  direct.clock.tick(2_000);
  await direct.askedFor("/-/ack", 2);
  await worker.drain();
  assertEquals([reasons, group(direct).acked], [["Cannot reach http://localhost:8000: timed out 2000"], 1]);
});

Deno.test("Client.work tells its handler when the lease is over and could not be extended, and its result counts still", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, begun, handler } = desk();
  const lost: number[] = [];
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    leaseMs: 9_000,
    onLost: ({ id }) => lost.push(id),
  }, handler);
  const job = await at(0);
  direct.fate = () => "away";
  for (let i = 0; i < 9; i++) {
    assertEquals(job.signal.aborted, false);
    direct.clock.tick(1_000);
    await settled();
  }
  assertInstanceOf(job.signal.reason, LeaseLost);
  assertEquals(lost, [0]);
  job.finish();
  await settled();
  direct.fate = () => undefined;
  // The worker asks for messages, too, and must not get this one again.
  direct.clock.tick(64_000);
  await until(() => group(direct).acked === 1);
  await worker.drain();
  assertEquals([begun.length, lost], [1, [0]]);
});

Deno.test("Client.work tells its handler when somebody else has the message, and says nothing of its result then", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const lost: number[] = [];
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    leaseMs: 9_000,
    onLost: ({ id }) => lost.push(id),
  }, handler);
  const job = await at(0);
  // The process was stopped for a while.
  direct.clock.stall(9_000);
  assertEquals(direct.bus.get("t", { group: "g", leaseMs: 60_000 })?.attempt, 2);
  direct.clock.tick(0);
  await until(() => job.signal.aborted);
  assertInstanceOf(job.signal.reason, LeaseLost);
  await settled();
  job.finish();
  await worker.drain();
  assertEquals([lost, group(direct).leased, direct.asked.some((request) => request.includes("ack"))], [[0], 1, false]);
});

Deno.test("Client.work tells of a result that came too late", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const lost: number[] = [];
  const worker = direct.client.work("t", { ...direct.world, group: "g", onLost: ({ id }) => lost.push(id) }, handler);
  const job = await at(0);
  await direct.client.nack(job.message.lease!);
  job.finish();
  await worker.drain();
  assertEquals(lost, [0]);
});

Deno.test("Client.work asks again when the answer to an ack is lost, and takes `unknown` for done then", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const lost: Message[] = [];
  const worker = direct.client.work(
    "t",
    { ...direct.world, group: "g", onLost: (message) => lost.push(message) },
    handler,
  );
  const job = await at(0);
  direct.fate = (request) => request.includes("ack") ? "lost" : undefined;
  job.finish();
  await until(() => group(direct).acked === 1);
  await settled();
  direct.fate = () => undefined;
  direct.clock.tick(2_000);
  await direct.askedFor("POST /-/ack", 2);
  await worker.drain();
  assertEquals([lost, group(direct).acked], [[], 1]);
});

Deno.test("Client.work drained takes no more and lets its handlers finish", async () => {
  await using direct = directBus();
  for (let i = 0; i < 4; i++) direct.bus.put("t", `${i}`);
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", parallel: 2 }, handler);
  await at(1);
  const drained = worker.drain();
  let isOver = false;
  void drained.then(() => isOver = true);
  begun[0]!.finish();
  await until(() => group(direct).acked === 1);
  direct.clock.tick(10_000);
  await direct.askedFor("extend");
  assertEquals([isOver, begun.length, begun[1]!.signal.aborted], [false, 2, false]);
  begun[1]!.fail(new Retry("not now", { count: false }));
  await drained;
  await worker.drain();
  await worker.ended;
  assertEquals([begun.length, group(direct).acked, group(direct).waiting], [2, 1, 1]);
  assertEquals(direct.clock.timers, 1, "that of the bus");
});

Deno.test("Client.work drained while it waits for messages leaves at once, and takes none", async () => {
  await using direct = directBus();
  const controller = new AbortController();
  const worker = direct.client.work("t", { ...direct.world, group: "g", signal: controller.signal }, () => {});
  await direct.askedFor("wait=30000ms");
  await settled();
  controller.abort();
  await worker.ended;
  direct.bus.put("t", "a");
  await settled();
  assertEquals([group(direct).leased, group(direct).lag], [0, 1]);
});

Deno.test("Client.work hands back, not counted, what came when it was drained", async () => {
  await using direct = directBus();
  const { begun, handler } = desk();
  direct.bus.put("t", "a");
  const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>>();
  direct.fate = (request) => request.startsWith("GET") ? new Response(readable) : undefined;
  const worker = direct.client.work("t", { ...direct.world, group: "g" }, handler);
  await direct.askedFor("GET");
  // The answer has begun to arrive.
  await settled();
  const drained = worker.drain();
  const message = direct.bus.get("t", { group: "g", leaseMs: 30_000 })!;
  await new Response(encodeEnvelope(message)).body!.pipeTo(writable);
  await drained;
  assertEquals(begun.length, 0);
  assertEquals([group(direct).leased, group(direct).attempts], [0, 0]);
  assertEquals(direct.bus.get("t", { group: "g", leaseMs: 1_000 })?.attempt, 1);
});

Deno.test("Client.work never begins when its signal has aborted", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const worker = direct.client.work("t", { ...direct.world, signal: AbortSignal.abort() }, () => {});
  await worker.ended;
  await rejected(worker.ready, "already_closed");
  assertEquals(direct.asked, []);
});

Deno.test("Client.work closed hands back at once, not counted, whatever its handlers do", async () => {
  await using direct = directBus();
  for (let i = 0; i < 3; i++) direct.bus.put("t", `${i}`);
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", parallel: 2 }, handler);
  await at(1);
  await worker.close();
  assertEquals(begun.map(({ signal }) => (signal.reason as BusError).code), ["already_closed", "already_closed"]);
  assertEquals([group(direct).leased, group(direct).attempts], [0, 0]);
  begun[0]!.finish();
  begun[1]!.fail(new Error("told to stop"));
  await settled();
  assertEquals([group(direct).acked, group(direct).waiting], [0, 2]);
  await worker.close();
  assertEquals(direct.asked.filter((request) => request.startsWith("POST")).length, 1);
});

Deno.test("Client.work closed while the server is away ends all the same", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g" }, handler);
  await at(0);
  direct.fate = () => "away";
  const closed = worker.close();
  await direct.askedFor("nack");
  await settled();
  direct.clock.tick(5_000);
  await closed;
});

Deno.test("Client.work drained while the server is away ends when its results are worth nothing any more", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const { at, handler } = desk();
  const lost: number[] = [];
  const worker = direct.client.work("t", { ...direct.world, group: "g", onLost: ({ id }) => lost.push(id) }, handler);
  const job = await at(0);
  direct.fate = () => "away";
  const drained = worker.drain();
  job.finish();
  let isOver = false;
  void drained.then(() => isOver = true);
  await direct.askedFor("ack");
  direct.clock.tick(29_999);
  await settled();
  assertEquals(isOver, false);
  direct.clock.tick(1);
  await drained;
  assertEquals(lost, [0]);
});

Deno.test("Client.work goes on when the server was away, and tells of that", async () => {
  await using direct = directBus();
  const told: string[] = [];
  direct.fate = () => "away";
  const { at, handler } = desk();
  const worker = direct.client.work("t", {
    ...direct.world,
    onReconnect: ({ reason, waitMs }) => told.push(`${reason.code} ${waitMs}`),
    onConnect: () => told.push("connected"),
  }, handler);
  for (const waitMs of [2_000, 4_000]) {
    await until(() => told.at(-1) === `unreachable ${waitMs}`);
    direct.clock.tick(waitMs);
  }
  await until(() => told.length === 3);
  direct.fate = () => undefined;
  direct.clock.tick(8_000);
  await worker.ready;
  assertEquals(told, ["unreachable 2000", "unreachable 4000", "unreachable 8000", "connected"]);
  await direct.askedFor("wait=30000ms");
  await settled();
  direct.bus.put("t", "a");
  (await at(0)).finish();
  await until(() => group(direct, "").acked === 1);
  await worker.drain();
});

Deno.test("Client.work asks a server that is busy again, and not before it says", async () => {
  await using direct = directBus();
  const waits: number[] = [];
  const busy = () => new Response("", { status: 503, headers: { "msgbus-error": "overloaded", "retry-after": "7" } });
  direct.fate = () => busy();
  const worker = direct.client.work(
    "t",
    { ...direct.world, onReconnect: ({ waitMs }) => waits.push(waitMs) },
    () => {},
  );
  await until(() => waits.length === 1);
  direct.fate = () => undefined;
  direct.clock.tick(7_000);
  await worker.ready;
  assertEquals(waits, [7_000]);
  await worker.drain();
});

Deno.test("Client.work acknowledges again, and asks again, when a server whose disk was full has room", async () => {
  await using direct = directBus();
  const told: string[] = [];
  const full = () => new Response("", { status: 507, headers: { "msgbus-error": "disk_full", "retry-after": "1" } });
  const { at, handler } = desk();
  direct.bus.put("t", "a");
  const worker = direct.client.work(
    "t",
    { ...direct.world, onReconnect: ({ reason, waitMs }) => told.push(`${reason.code} ${waitMs}`) },
    handler,
  );
  const job = await at(0);
  direct.fate = () => full();
  job.finish();
  await until(() => told.length === 1);
  direct.fate = () => undefined;
  direct.clock.tick(2_000);
  await until(() => group(direct, "").acked === 1);
  assertEquals(told, ["disk_full 2000"]);
  await worker.drain();
});

Deno.test("Client.work waits while its group has no room for leases, and says so once", async () => {
  await using direct = directBus({ maxLeased: 1 });
  direct.bus.put("t", "a");
  direct.bus.put("t", "b");
  const token = direct.bus.get("t", { group: "g", leaseMs: 60_000 })!.lease!;
  const told: string[] = [];
  const { at, handler } = desk();
  const worker = direct.client.work("t", {
    ...direct.world,
    group: "g",
    onReconnect: ({ reason, waitMs }) => told.push(`${reason.code} ${waitMs}`),
  }, handler);
  for (let i = 1; i <= 3; i++) {
    await direct.askedFor("GET /t?", i);
    await until(() => told.length === 1);
    await settled();
    direct.clock.tick(1_000);
  }
  await direct.bus.ack(token);
  await direct.askedFor("GET /t?", 4);
  await settled();
  direct.clock.tick(1_000);
  (await at(0)).finish();
  await worker.drain();
  assertEquals([told, group(direct).acked], [["too_many_leased 1000"], 2]);
});

Deno.test("Client.work doesn't ask a server at once again that has nothing and doesn't wait", async () => {
  await using direct = directBus();
  direct.fate = () => new Response("", { status: 404, headers: { "msgbus-error": "empty" } });
  const worker = direct.client.work("t", direct.world, () => {});
  await direct.askedFor("GET", 2);
  await settled();
  assertEquals(direct.asked.length, 2);
  direct.clock.tick(1_000);
  await direct.askedFor("GET", 3);
  await worker.drain();
});

Deno.test("Client.work ends with what a server refuses for good, when its handlers have finished", async () => {
  await using direct = directBus({ maxGroups: 1 });
  direct.bus.put("t", "a");
  direct.bus.get("t", { group: "other" });
  const refused = direct.client.work("t", { ...direct.world, group: "g" }, () => {});
  await rejected(refused.ready, "too_many_groups");
  await rejected(refused.ended, "too_many_groups");
  await rejected(direct.client.work("t", { ...direct.world, group: "-" }, () => {}).ended, "bad_group");
  const { at, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, parallel: 2 }, handler);
  const job = await at(0);
  direct.fate = () => new Response("", { status: 403, headers: { "msgbus-error": "host_not_allowed" } });
  direct.clock.tick(10_000);
  await direct.askedFor("extend");
  await settled();
  job.finish();
  await rejected(worker.ended, "host_not_allowed");
});

Deno.test("Client.work refuses a server that gives messages and no leases", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  const plain = await direct.client.browse("t");
  direct.fate = () => new Response(encodeEnvelope(plain.messages[0]!));
  await rejected(direct.client.work("t", direct.world, () => {}).ended, "unexpected_answer");
});

Deno.test("Client.work ends with what a callback throws", async () => {
  for (const name of ["onConnect", "onFailure", "onGap"] as const) {
    await using direct = directBus({ maxMessages: 1 });
    const error = new Error(name);
    direct.bus.put("t", "a");
    direct.bus.get("t", { group: "g" });
    direct.bus.put("t", "b");
    direct.bus.put("t", "c");
    const worker = direct.client.work("t", {
      ...direct.world,
      group: "g",
      [name]: () => {
        throw error;
      },
    }, () => {
      throw new Error("no");
    });
    assertStrictEquals(await assertRejects(() => worker.ended), error);
  }
});

Deno.test("Client.work tells what its group has lost before anybody got it", async () => {
  await using direct = directBus({ maxMessages: 2 });
  for (let i = 0; i < 5; i++) direct.bus.put("t", `${i}`);
  const gaps: unknown[] = [];
  const { at, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, onGap: (gap) => gaps.push(gap) }, handler);
  const job = await at(0);
  assertEquals([job.message.id, gaps], [3, [{ topic: "t", from: 0, to: 2, reason: "dropped" }]]);
  job.finish();
  await worker.drain();
});

Deno.test("Client.work gives no two messages of one key to its handlers at once", async () => {
  await using direct = directBus();
  for (const key of ["a", "a", "b"]) direct.bus.put("t", key, { key });
  const { at, begun, handler } = desk();
  const worker = direct.client.work("t", { ...direct.world, group: "g", parallel: 3 }, handler);
  await at(1);
  await settled();
  assertEquals(begun.map(({ message }) => message.id), [0, 2]);
  begun[0]!.finish();
  assertEquals((await at(2)).message.id, 1);
  for (const each of begun) each.finish();
  await worker.drain();
});

Deno.test("Client.work is drained when it is disposed", async () => {
  await using direct = directBus();
  direct.bus.put("t", "a");
  {
    const { at, handler } = desk();
    await using worker = direct.client.work("t", { ...direct.world, group: "g" }, handler);
    const job = await at(0);
    queueMicrotask(() => job.finish());
    assert(worker.topic === "t");
  }
  assertEquals(group(direct).acked, 1);
});

Deno.test("Client.work refuses options that can't be right, without a request", () => {
  const direct = directBus();
  const wrong = [
    { leaseMs: 999 },
    { leaseMs: 12 * 3_600_000 + 1 },
    { leaseMs: NaN },
    { parallel: 0 },
    { parallel: 1.5 },
    { maxDelayMs: Infinity },
  ];
  for (const options of wrong) {
    assertEquals(assertThrows(() => direct.client.work("t", options, () => {}), BusError).code, "bad_option");
  }
  assertEquals(assertThrows(() => direct.client.work("t", { from: "x" }, () => {}), BusError).code, "bad_cursor");
  assertEquals(assertThrows(() => direct.client.work("a//b", {}, () => {}), BusError).code, "bad_topic");
  assertEquals(direct.asked, []);
});
