import { MAX_SLEEP_MS } from "../../lib/bus/clock.ts";
import { type Appointment, Schedule } from "../../lib/bus/schedule.ts";
import { assert, assertEquals, assertThrows, fc } from "../deps.ts";
import { TestClock } from "./test_clock.ts";

const START_MS = 1_000_000;

function setUp() {
  const clock = new TestClock(START_MS);
  const ran: string[] = [];
  const schedule = new Schedule(clock);
  const once = (name: string) => ({
    due: (nowMs: number) => {
      ran.push(`${name} at ${nowMs - START_MS}`);
      return Infinity;
    },
  });
  return { clock, schedule, ran, once };
}

Deno.test("Schedule runs what is due at its time, in the order of the times", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("b"), START_MS + 200);
  schedule.add(once("a"), START_MS + 100);
  schedule.add(once("never"), Infinity);
  clock.tick(99);
  assertEquals(ran, []);
  clock.tick(1000);
  assertEquals(ran, ["a at 100", "b at 200"]);
});

Deno.test("Schedule sets no timer when nothing is due", () => {
  const { clock, schedule, once } = setUp();
  assertEquals(clock.timers, 0);
  schedule.add(once("never"), Infinity);
  assertEquals(clock.timers, 0);
});

Deno.test("Schedule has one timer at a time, for the earliest appointment", () => {
  const { clock, schedule, once } = setUp();
  const later = schedule.add(once("a"), START_MS + 1000);
  schedule.add(once("b"), START_MS + 2000);
  assertEquals(clock.delays, [1000]);
  schedule.move(later, START_MS + 500);
  assertEquals(clock.delays, [1000, 500]);
  assertEquals(clock.timers, 1);
  clock.tick(500);
  assertEquals(clock.delays, [1000, 500, 1500]);
  assertEquals(clock.timers, 1);
});

Deno.test("Schedule runs an appointment that was moved at its new time only", () => {
  const { clock, schedule, ran, once } = setUp();
  const appointment = schedule.add(once("a"), START_MS + 100);
  schedule.move(appointment, START_MS + 300);
  clock.tick(299);
  assertEquals(ran, []);
  clock.tick(1);
  assertEquals(ran, ["a at 300"]);
});

Deno.test("Schedule runs nothing that was removed", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.remove(schedule.add(once("a"), START_MS + 100));
  schedule.add(once("b"), START_MS + 200);
  clock.tick(1000);
  assertEquals(ran, ["b at 200"]);
});

Deno.test("Schedule runs again when what was due says so, but not twice in one millisecond", () => {
  const { clock, schedule } = setUp();
  const times: number[] = [];
  schedule.add({
    due: (nowMs) => {
      times.push(nowMs - START_MS);
      return times.length === 1 ? nowMs + 500 : times.length === 2 ? nowMs : Infinity;
    },
  }, START_MS + 100);
  clock.tick(10_000);
  assertEquals(times, [100, 600, 620]);
});

Deno.test("Schedule runs many that are due within 20 ms in one go", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("a"), START_MS + 5);
  schedule.add(once("b"), START_MS + 19);
  clock.tick(19);
  assertEquals(ran, []);
  clock.tick(1);
  assertEquals(ran, ["a at 20", "b at 20"]);
});

Deno.test("Schedule runs what is overdue when it is added", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("a"), START_MS - 1000);
  clock.tick(20);
  assertEquals(ran, ["a at 20"]);
});

Deno.test("Schedule is not put off by others that keep being added", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("first"), START_MS + 1);
  for (let ms = 0; ms < 20; ms++) {
    schedule.add(once("other"), clock.now() + 1);
    clock.tick(1);
  }
  assertEquals(ran[0], "first at 20");
});

Deno.test("Schedule sleeps at most 2^31 - 1 ms at once", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("a"), START_MS + MAX_SLEEP_MS + 1000);
  assertEquals(clock.delays, [MAX_SLEEP_MS]);
  clock.tick(MAX_SLEEP_MS);
  assertEquals(ran, []);
  assertEquals(clock.delays, [MAX_SLEEP_MS, 1000]);
  clock.tick(1000);
  assertEquals(ran.length, 1);
});

for (const setMs of [1000, -1000]) {
  Deno.test(`Schedule doesn't notice that the clock is set by ${setMs} ms`, () => {
    const { clock, schedule, ran, once } = setUp();
    schedule.add(once("a"), START_MS + 100);
    clock.set(setMs);
    clock.tick(99);
    assertEquals(ran, []);
    clock.tick(1);
    assertEquals(ran, ["a at 100"]);
  });
}

Deno.test("Schedule.stop runs nothing any more, whatever is added", () => {
  const { clock, schedule, ran, once } = setUp();
  schedule.add(once("a"), START_MS + 100);
  schedule.stop();
  schedule.add(once("b"), START_MS + 50);
  assertEquals(clock.timers, 0);
  clock.tick(1000);
  assertEquals(ran, []);
});

Deno.test("Schedule.stop by what is due sets no timer any more", () => {
  const { clock, schedule, once } = setUp();
  schedule.add(once("a"), START_MS + 1000);
  schedule.add({
    due: () => {
      schedule.stop();
      return Infinity;
    },
  }, START_MS + 100);
  clock.tick(100);
  assertEquals(clock.timers, 0);
});

Deno.test("Schedule goes on after something that was due threw, and comes back to it", () => {
  const { clock, schedule, ran, once } = setUp();
  let faults = 1;
  schedule.add({
    due: (nowMs) => {
      if (faults-- > 0) throw new Error("a bug");
      return once("a").due(nowMs);
    },
  }, START_MS + 100);
  schedule.add(once("b"), START_MS + 110);
  assertThrows(() => clock.tick(100), Error, "a bug");
  clock.tick(1000);
  assertEquals(ran, ["b at 120", "a at 120"]);
});

const step = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), inMs: fc.nat(500) }),
  fc.record({ kind: fc.constant("move" as const), at: fc.nat(), inMs: fc.nat(500) }),
  fc.record({ kind: fc.constant("remove" as const), at: fc.nat() }),
  fc.record({ kind: fc.constant("tick" as const), inMs: fc.nat(300) }),
);

Deno.test("Schedule runs each appointment once, never early and at most 20 ms late", () => {
  fc.assert(
    fc.property(fc.array(step, { size: "medium" }), (steps) => {
      const clock = new TestClock(START_MS);
      const schedule = new Schedule(clock);
      const wanted: { dueMs: number | undefined; appointment: Appointment }[] = [];
      const dueAt = (i: number) => (nowMs: number) => {
        const { dueMs } = wanted[i]!;
        assert(dueMs !== undefined && dueMs <= nowMs && nowMs <= dueMs + 20, `due at ${dueMs}, run at ${nowMs}`);
        wanted[i]!.dueMs = undefined;
        return Infinity;
      };
      for (const step of steps) {
        const one = "at" in step ? wanted[step.at % wanted.length] : undefined;
        if (step.kind === "add") {
          const dueMs = clock.now() + step.inMs;
          const i = wanted.length;
          wanted.push({ dueMs, appointment: schedule.add({ due: dueAt(i) }, dueMs) });
        } else if (step.kind === "tick") {
          clock.tick(step.inMs);
        } else if (one?.dueMs !== undefined && step.kind === "move") {
          schedule.move(one.appointment, one.dueMs = clock.now() + step.inMs);
        } else if (one !== undefined && step.kind === "remove") {
          schedule.remove(one.appointment);
          one.dueMs = undefined;
        }
        assert(clock.timers <= 1);
        for (const { dueMs } of wanted) assert(dueMs === undefined || dueMs + 20 >= clock.now(), "not run");
      }
    }),
    { numRuns: 300 },
  );
});
