import { clockLog } from "../../lib/daemon/clock_log.ts";
import { assertEquals } from "../deps.ts";

Deno.test("clockLog says how far the clock was set", () => {
  const lines: string[] = [];
  const warn = (event: string, message: string) => void lines.push(`${event}: ${message}`);
  const { clockSet } = clockLog({ error() {}, warn, info() {}, debug() {} });
  clockSet!(50_000);
  clockSet!(-1500);
  assertEquals(lines, [
    "clock_jump: the clock was set ahead by 50 s; nothing is due earlier or later",
    "clock_jump: the clock was set back by 1.5 s; nothing is due earlier or later",
  ]);
});
