import { Course, type CourseOptions, TIMER_MS, together } from "../../../lib/cli/bench/course.ts";
import { assertEquals, assertRejects, assertStrictEquals } from "../../deps.ts";
import { TestClock } from "../../bus/test_clock.ts";

function courseOf(options: Partial<CourseOptions> = {}) {
  const clock = new TestClock(0);
  const timed = { now: () => clock.now(), random: () => 0, schedule: clock.schedule.bind(clock) };
  const interruption = new AbortController();
  const course = new Course({ timeMs: 1_000, signal: interruption.signal, clock: timed, ...options });
  return { course, clock, interruption };
}

Deno.test("Course ends when its time is over, which begins when it is told", async () => {
  const { course, clock } = courseOf();
  clock.tick(5_000);
  assertEquals([course.fraction, course.elapsedMs, course.signal.aborted], [0, 0, false]);
  course.begin();
  clock.tick(999);
  assertEquals([await course.claim(3), course.fraction], [3, 0.999]);
  clock.tick(1);
  assertEquals([await course.claim(3), course.fraction, course.signal.aborted], [0, 1, true]);
});

Deno.test("Course hands out as many messages as there are", async () => {
  const { course } = courseOf({ count: 10 });
  course.begin();
  assertEquals([await course.claim(6), course.fraction, await course.claim(6), await course.claim(6)], [6, 0.6, 4, 0]);
  course.giveBack(3);
  assertEquals(await course.claim(6), 3);
});

Deno.test("Course hands out messages at their rate, in the order in which they were asked for", async () => {
  const { course, clock } = courseOf({ rate: 100 });
  course.begin();
  assertEquals(await course.claim(10), 10);
  const got: number[] = [];
  const claims = [1, 2].map(async (wanted) => got.push(await course.claim(wanted)));
  clock.tick(99);
  await Promise.resolve();
  assertEquals(got, []);
  clock.tick(1);
  await claims[0];
  assertEquals(got, [1]);
  clock.tick(10);
  await claims[1];
  assertEquals(got, [1, 2]);
});

Deno.test("Course.claimOne tells when each message should have gone, however late somebody asks", async () => {
  const { course, clock } = courseOf({ rate: 100, count: 5 });
  course.begin();
  assertEquals(await course.claimOne(), 0);
  const inTime = [course.claimOne(), course.claimOne()];
  clock.tick(11); // a timer that is a little late
  assertEquals(await inTime[0], 11);
  clock.stall(15);
  clock.tick(0);
  assertEquals(await inTime[1], 20 + TIMER_MS);
  clock.tick(24);
  assertEquals([await course.claimOne(), await course.claimOne(), await course.claimOne()], [30, 40, undefined]);
});

Deno.test("Course ends at once when it is interrupted, those who wait included", async () => {
  const { course, clock, interruption } = courseOf({ rate: 1 });
  course.begin();
  await course.claim(1);
  const waiting = course.claim(1);
  interruption.abort();
  assertEquals([await waiting, await course.claim(1)], [0, 0]);
  course[Symbol.dispose]();
  assertEquals(clock.timers, 0);
  using late = courseOf({ signal: AbortSignal.abort() }).course;
  assertEquals(await late.claim(1), 0);
});

Deno.test("together stops all when one fails, and throws that", async () => {
  const { course } = courseOf();
  const fault = new Error("broken");
  let ended = false;
  const workers = [
    async () => {
      await new Promise((resolve) => course.signal.addEventListener("abort", resolve));
      ended = true;
    },
    () => Promise.reject(fault),
  ];
  assertStrictEquals(await assertRejects(() => together(course, workers)), fault);
  assertEquals(ended, true);
});
