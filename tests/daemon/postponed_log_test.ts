import { postponedLog } from "../../lib/daemon/postponed_log.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

Deno.test("postponedLog says which topic waits and why, at most 10 lines a second", () => {
  const clock = new TestClock(1_000_000);
  const lines: string[] = [];
  const warn = (event: string, message: string) => void lines.push(`${event}: ${message}`);
  const { postponed } = postponedLog({ error() {}, warn, info() {}, debug() {} }, clock);
  postponed!("t", new Error("the disk is full"));
  for (let i = 0; i < 19; i++) postponed!("t", "no");
  assertEquals(lines.slice(0, 2), [
    "postponed: a scheduled message of t is tried again in a second: the disk is full",
    "postponed: a scheduled message of t is tried again in a second: no",
  ]);
  assertEquals(lines.length, 10);
  clock.tick(1000);
  assertEquals(lines.slice(10), ["postponed: 10 more like this left out"]);
});
