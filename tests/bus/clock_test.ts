import { MAX_SLEEP_MS, systemClock } from "../../lib/bus/clock.ts";
import { assert, assertEquals } from "../deps.ts";

Deno.test("systemClock.now is the machine's time in whole milliseconds", () => {
  const before = Date.now();
  const now = systemClock.now();
  assert(Number.isInteger(now) && before <= now && now <= Date.now());
});

Deno.test("systemClock.schedule runs its task once", async () => {
  let runs = 0;
  // The test's own timer keeps the process alive, which the clock's doesn't.
  const alive = setTimeout(() => {}, 60_000);
  await new Promise<void>((resolve) =>
    systemClock.schedule(() => {
      runs++;
      resolve();
    }, 0)
  );
  clearTimeout(alive);
  assertEquals(runs, 1);
});

Deno.test("systemClock.schedule runs nothing after its cancellation", async () => {
  let runs = 0;
  const cancel = systemClock.schedule(() => runs++, 0);
  cancel();
  cancel();
  await new Promise<void>((resolve) => setTimeout(resolve, 0));
  assertEquals(runs, 0);
});

Deno.test("systemClock.schedule asks the platform for no sleep beyond the longest, which would end at once", () => {
  const { setTimeout } = globalThis;
  const delays: unknown[] = [];
  globalThis.setTimeout = ((task: () => void, delayMs: number) => {
    delays.push(delayMs);
    return setTimeout(task, delayMs);
  }) as typeof setTimeout;
  try {
    for (const delayMs of [MAX_SLEEP_MS, MAX_SLEEP_MS + 1, 1e15]) systemClock.schedule(() => {}, delayMs)();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assertEquals(delays, [MAX_SLEEP_MS, MAX_SLEEP_MS, MAX_SLEEP_MS]);
});

Deno.test("systemClock.defer runs its task once, after this turn", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.defer(() => {
      order.push("deferred");
      resolve();
    });
    queueMicrotask(() => order.push("microtask"));
    order.push("turn");
  });
  assertEquals(order, ["turn", "microtask", "deferred"]);
});

Deno.test("systemClock keeps no process alive: a program that puts and gets ends", async () => {
  const program = `
    const { MessageBus } = await import(${JSON.stringify(import.meta.resolve("../../lib/bus/bus.ts"))});
    const bus = new MessageBus();
    bus.subscribe("foo");
    bus.put("foo", "Hello World!");
    console.log(bus.get("foo").text());`;
  // The timer for the message's time to live would hold it for a minute.
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    signal: AbortSignal.timeout(30_000),
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "Hello World!\n");
});
