import { SteadyClock } from "../../lib/bus/clock.ts";
import { Timeline } from "../../lib/bus/timeline.ts";
import { assert, assertEquals } from "../deps.ts";

const START_MS = Date.parse("2018-03-25T13:18:38.732Z");

/** Two clocks that a test moves. */
class Times {
  wallMs = START_MS;
  monotonicMs = 5.5;
  readonly clock = new SteadyClock({ wall: () => this.wallMs, monotonic: () => this.monotonicMs });

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonicMs += ms;
  }
}

Deno.test("SteadyClock.now passes with the machine's clock", () => {
  const times = new Times();
  for (const ms of [0, 1, 999, 1000, 1001, 3_600_000]) {
    const before = times.clock.now();
    times.pass(ms);
    assertEquals([times.clock.now() - before, times.clock.skewMs], [ms, 0]);
  }
});

for (const ms of [50_000, -50_000, 3_600_000, -3_600_000, 3650 * 86_400_000, -START_MS]) {
  Deno.test(`SteadyClock.now doesn't notice that the clock is set by ${ms / 1000} s`, () => {
    const times = new Times();
    times.pass(10);
    times.clock.now();
    times.wallMs += ms;
    times.pass(7);
    assertEquals([times.clock.now(), times.clock.skewMs], [START_MS + 17, ms]);
    times.pass(5000);
    assertEquals([times.clock.now(), times.clock.skewMs], [START_MS + 5017, ms]);
    times.wallMs -= ms;
    times.pass(1);
    assertEquals([times.clock.now(), times.clock.skewMs], [START_MS + 5018, 0]);
  });
}

Deno.test("SteadyClock follows a clock that is trimmed", () => {
  const times = new Times();
  for (let i = 0; i < 100; i++) {
    times.pass(60_000);
    times.wallMs += 30;
    assertEquals(times.clock.now(), times.wallMs);
  }
  assertEquals(times.clock.skewMs, 0);
});

Deno.test("Timeline.stamp never goes back, and says what the machine's clock says", () => {
  const times = new Times();
  const jumps: number[] = [];
  const timeline = new Timeline(times.clock, (ms) => jumps.push(ms));
  const stamp = () => timeline.stamp(times.clock.now()) - START_MS;
  times.pass(10);
  assertEquals(stamp(), 10);
  times.wallMs += 50_000;
  assertEquals(stamp(), 50_010);
  times.wallMs -= 60_000;
  times.pass(5);
  assertEquals(stamp(), 50_011);
  times.pass(1000);
  assertEquals(stamp(), 50_111);
  times.pass(70_000);
  assertEquals(stamp(), 61_015);
  times.pass(1);
  assertEquals(stamp(), 61_016);
  assertEquals(jumps, [50_000, -60_000]);
});

Deno.test("Timeline goes on slowly after a stamp of the time to come, until the clock is there", () => {
  const times = new Times();
  const timeline = new Timeline(times.clock);
  const stamp = () => timeline.stamp(times.clock.now()) - START_MS;
  timeline.advance(START_MS + 1000);
  assertEquals([stamp(), timeline.newestMs - START_MS], [1000, 1000]);
  times.pass(500);
  assertEquals(stamp(), 1050);
  times.pass(700);
  assertEquals(stamp(), 1200);
  // Those that were given out before are believed.
  assertEquals(timeline.passedAt(START_MS - 5000), START_MS - 5000);
  assertEquals(timeline.passedAt(START_MS + 900), START_MS + 900);
});

Deno.test("Timeline.passedAt tells when a stamp was given out, at most 10 ms late and never early", () => {
  for (const years of [0, 56]) {
    const times = new Times();
    const timeline = new Timeline(times.clock);
    const given: { stampMs: number; nowMs: number }[] = [];
    for (const setMs of [0, 50_000, -20_000, 0, 3_600_000, -3_700_000, 0, 900_000, -years * 365 * 86_400_000]) {
      times.wallMs += setMs;
      for (let i = 0; i < 50; i++) {
        times.pass(i % 5 === 0 ? 10 : 400);
        const nowMs = times.clock.now();
        given.push({ stampMs: timeline.stamp(nowMs), nowMs });
      }
    }
    for (const { stampMs, nowMs } of given) {
      const lateMs = timeline.passedAt(stampMs) - nowMs;
      assert(lateMs >= 0 && lateMs < 20, `the stamp ${stampMs} of ${nowMs} is ${lateMs} ms late`);
    }
    assertEquals(given.map(({ stampMs }) => stampMs), given.map(({ stampMs }) => stampMs).toSorted((a, b) => a - b));
  }
});
