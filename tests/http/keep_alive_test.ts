import { KeepAlive } from "../../lib/http/keep_alive.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertGreater, assertLessOrEqual } from "../deps.ts";

Deno.test("KeepAlive calls a member every 15 s, first after 15 s", () => {
  const clock = new TestClock();
  const beganMs = clock.now();
  const calls: number[] = [];
  new KeepAlive(clock).add(() => calls.push(clock.now() - beganMs));
  clock.tick(60_000);
  assertEquals(calls, [15_000, 30_000, 45_000, 60_000]);
});

Deno.test("KeepAlive calls each of many members every 15 s, however late they come, and few of them at once", () => {
  const clock = new TestClock();
  const keepAlive = new KeepAlive(clock);
  const calls = new Map<number, number[]>();
  for (let member = 0; member < 300; member++) {
    const times = [clock.now()];
    calls.set(member, times);
    keepAlive.add(() => times.push(clock.now()));
    clock.tick(50);
  }
  clock.tick(45_000);
  const atOnce = new Map<number, number>();
  for (const [began, first, ...others] of calls.values()) {
    assertGreater(first! - began!, 14_749);
    assertLessOrEqual(first! - began!, 15_000);
    others.reduce((before, time) => {
      assertEquals(time - before, 15_000);
      return time;
    }, first!);
    atOnce.set(first!, (atOnce.get(first!) ?? 0) + 1);
  }
  assertLessOrEqual(Math.max(...atOnce.values()), 10);
});

Deno.test("KeepAlive has one timer while it has members, and none without", () => {
  const clock = new TestClock();
  const keepAlive = new KeepAlive(clock);
  assertEquals(clock.timers, 0);
  const removals = Array.from({ length: 10 }, () => keepAlive.add(() => {}));
  clock.tick(1_000);
  assertEquals(clock.timers, 1);
  for (const remove of removals.slice(1)) remove();
  assertEquals(clock.timers, 1);
  removals[0]!();
  assertEquals(clock.timers, 0);
});

Deno.test("KeepAlive doesn't call a member that was removed, and removing it twice changes nothing", () => {
  const clock = new TestClock();
  const keepAlive = new KeepAlive(clock);
  const calls: string[] = [];
  const remove = keepAlive.add(() => calls.push("removed"));
  keepAlive.add(() => calls.push("stays"));
  remove();
  remove();
  clock.tick(15_000);
  assertEquals([calls, clock.timers], [["stays"], 1]);
});

Deno.test("KeepAlive begins anew when its first member comes back", () => {
  const clock = new TestClock();
  const keepAlive = new KeepAlive(clock);
  for (let round = 0; round < 3; round++) {
    let calls = 0;
    const remove = keepAlive.add(() => calls++);
    clock.tick(14_999);
    assertEquals(calls, 0);
    clock.tick(1);
    assertEquals(calls, 1);
    remove();
    clock.tick(777);
  }
});

Deno.test("KeepAlive lets a member leave while it is called", () => {
  const clock = new TestClock();
  const keepAlive = new KeepAlive(clock);
  let calls = 0;
  const remove = keepAlive.add(() => {
    calls++;
    remove();
  });
  clock.tick(45_000);
  assertEquals([calls, clock.timers], [1, 0]);
});
