/**
 * The limit on lines a second.
 *
 * @module
 */

import { LineLimit } from "../../lib/daemon/line_limit.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

function limited(perSecond: number): { clock: TestClock; leftOut: number[]; admit: (count: number) => number } {
  const clock = new TestClock(1_000_000);
  const leftOut: number[] = [];
  const limit = new LineLimit({ clock, perSecond, leftOut: (lines) => leftOut.push(lines) });
  const admit = (count: number) => Array.from({ length: count }, () => limit.admit()).filter(Boolean).length;
  return { clock, leftOut, admit };
}

Deno.test("LineLimit lets so many lines through in each second", () => {
  const { clock, leftOut, admit } = limited(3);
  assertEquals(admit(2), 2);
  clock.tick(999);
  assertEquals(admit(1), 1);
  clock.tick(1);
  assertEquals(admit(3), 3);
  clock.tick(10_000);
  assertEquals(leftOut, []);
});

Deno.test("LineLimit says at the end of a second how many it held back, once", () => {
  const { clock, leftOut, admit } = limited(3);
  clock.tick(250);
  assertEquals(admit(10), 3);
  assertEquals(clock.delays, [750]);
  clock.tick(749);
  assertEquals([admit(1), leftOut], [0, []]);
  clock.tick(1);
  assertEquals(leftOut, [8]);
  clock.tick(5_000);
  assertEquals([leftOut, clock.timers], [[8], 0]);
});

Deno.test("LineLimit counts each second on its own", () => {
  const { clock, leftOut, admit } = limited(1);
  for (const count of [3, 1, 5]) {
    assertEquals(admit(count), 1);
    clock.tick(1_000);
  }
  assertEquals(leftOut, [2, 4]);
});
