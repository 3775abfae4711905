import { persist } from "../../lib/cli/persist.ts";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { assertEquals, assertRejects } from "../deps.ts";
import { TestClock } from "../bus/test_clock.ts";

/** Persists with attempts that end as told, for 10 s; time passes as it waits. */
function persisting(ends: (ErrorCode | "message")[], signal?: AbortSignal) {
  const clock = new TestClock(0);
  const timed = { now: () => clock.now(), random: () => 0, schedule: clock.schedule.bind(clock) };
  const lefts: number[] = [];
  const said: string[] = [];
  const attempt = (leftMs: number) => {
    lefts.push(leftMs);
    const end = ends.shift()!;
    return end === "message" ? Promise.resolve(end) : Promise.reject(new BusError(end, end));
  };
  const say = (line: string) => {
    said.push(line);
    queueMicrotask(() => clock.tick(clock.delays.at(-1)!));
  };
  const result = persist(attempt, { deadlineMs: 10_000, signal, clock: timed, io: { say } });
  return { result, lefts, said, clock };
}

Deno.test("persist tries again with the waits of a subscription, and with the time that is left", async () => {
  const { result, lefts, said } = persisting(["unreachable", "draining", "message"]);
  assertEquals(await result, "message");
  assertEquals(lefts, [10_000, 8_000, 4_000]);
  assertEquals(said, ["unreachable; trying again in 2.0 s", "draining; trying again in 4.0 s"]);
});

Deno.test("persist tries for the last time when the time is up, and throws what it gets then", async () => {
  const { result, lefts } = persisting(["overloaded", "overloaded", "overloaded", "unreachable"]);
  assertEquals((await assertRejects(() => result, BusError)).code, "unreachable");
  assertEquals(lefts, [10_000, 8_000, 4_000, 0]);
});

Deno.test("persist waits for a full disk, which heals by itself, and not for a full topic", async () => {
  assertEquals(await persisting(["disk_full", "message"]).result, "message");
  const { result, lefts } = persisting(["topic_full"]);
  assertEquals((await assertRejects(() => result, BusError)).code, "topic_full");
  assertEquals(lefts.length, 1);
});

Deno.test("persist doesn't try again what can't help", async () => {
  const { result, lefts } = persisting(["unreachable", "bad_topic"]);
  assertEquals((await assertRejects(() => result, BusError)).code, "bad_topic");
  assertEquals(lefts.length, 2);
});

Deno.test("persist gives up at once when it is told to", async () => {
  const stop = new AbortController();
  const clock = new TestClock(0);
  const timed = { now: () => clock.now(), random: () => 0, schedule: clock.schedule.bind(clock) };
  const attempt = () => Promise.reject(new BusError("unreachable", "gone"));
  const io = { say: () => queueMicrotask(() => stop.abort()) };
  assertEquals(await persist(attempt, { deadlineMs: 10_000, signal: stop.signal, clock: timed, io }), undefined);
  assertEquals(clock.timers, 0);
  assertEquals(await persisting(["message"], AbortSignal.abort()).result, undefined);
});
