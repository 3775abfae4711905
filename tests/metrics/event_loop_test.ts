/**
 * How late the event loop is.
 *
 * @module
 */

import { watchEventLoop } from "../../lib/metrics/event_loop.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

Deno.test("watchEventLoop tells once a second how late its timer ran", () => {
  const clock = new TestClock();
  const lags: number[] = [];
  watchEventLoop(clock, (seconds) => lags.push(seconds));
  clock.tick(2000);
  assertEquals(lags, [0, 0]);
  clock.stall(1250);
  clock.tick(0);
  assertEquals(lags, [0, 0, 0.25]);
  clock.tick(999);
  assertEquals(lags.length, 3);
  clock.tick(1);
  assertEquals(lags, [0, 0, 0.25, 0]);
});

Deno.test("watchEventLoop: a clock that is set back is not a loop that is early", () => {
  const clock = new TestClock();
  const lags: number[] = [];
  watchEventLoop(clock, (seconds) => lags.push(seconds));
  clock.set(0);
  clock.tick(1000);
  assertEquals(lags, [0]);
});
