import { MessageBus } from "../../lib/bus/bus.ts";
import { assert, assertEquals } from "../deps.ts";
import { TestClock } from "./test_clock.ts";

const YEAR_MS = 365 * 86_400_000;

/** A bus in the middle of everything that has a time, and what is to be seen of it, second by second. */
class Course {
  readonly clock = new TestClock();
  readonly sets: number[] = [];
  readonly bus = new MessageBus({
    clock: this.clock,
    ttlMs: 89_500,
    dedupeWindowMs: 39_500,
    groupIdleMs: 69_500,
    observer: { clockSet: (ms) => void this.sets.push(ms) },
  });

  async begin(): Promise<void> {
    const { bus } = this;
    for (const text of ["a", "b", "c"]) bus.put("work", text);
    bus.put("work", "short", { ttlMs: 20_000 });
    bus.get("work", { leaseMs: 30_000 });
    const { lease } = bus.get("work", { leaseMs: 30_000 })!;
    await bus.nack(lease!, { delayMs: 25_000 });
    bus.get("work", { group: "g", leaseMs: 60_000 });
    bus.get("work", { group: "idle" });
    await bus.schedule("later", "d", { delayMs: 50_000 });
    await bus.schedule("later", "e", { atMs: this.clock.now() + 15_000 });
    bus.put("once", "f", { idempotencyKey: "k" });
  }

  /** What can be seen now; times of day left out. */
  look(): unknown {
    const { bus } = this;
    const again = bus.put("once", "f", { idempotencyKey: "k" }).id;
    const groups = bus.groups("work").map(({ group, lag, leased, waiting, lost, idleMs }) =>
      `${group}: ${lag} ${leased} ${waiting} ${lost} ${idleMs}`
    );
    return { again, groups, topics: bus.topics().map(({ name, seq, length }) => `${name} ${seq} ${length}`) };
  }
}

for (const setMs of [50_000, -50_000, 3_600_000, -3_600_000, 10 * YEAR_MS, -48 * YEAR_MS]) {
  Deno.test(`MessageBus: nothing is due earlier or later because the clock is set by ${setMs / 1000} s`, async () => {
    const [course, other] = [new Course(), new Course()];
    for (const each of [course, other]) {
      await each.begin();
      // What is said to be created while the clock has to be waited for may be due 10 ms late.
      each.clock.tick(100);
    }
    for (let second = 0; second < 150; second++) {
      if (second === 10) course.clock.set(setMs);
      assertEquals(course.look(), other.look(), `after ${second} s`);
      for (const { clock } of [course, other]) clock.tick(1000);
    }
    assertEquals([course.sets, other.sets], [[setMs], []]);
  });

  Deno.test(`MessageBus: created never goes back and follows the clock that is set by ${setMs / 1000} s`, () => {
    const clock = new TestClock();
    const bus = new MessageBus({ clock, ttlMs: 0 });
    const created: number[] = [];
    for (let second = 0; second < 100; second++) {
      if (second === 50) clock.set(setMs);
      created.push(bus.put("t", "a").createdMs);
      clock.tick(1000);
    }
    for (let at = 1; at < 100; at++) assert(created[at]! >= created[at - 1]!, `${at}: ${created[at]}`);
    if (setMs > 0) assertEquals(created[99], clock.now() - 1000 + setMs);
  });
}
