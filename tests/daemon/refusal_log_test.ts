/**
 * Logging what was refused.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import { refusalLog } from "../../lib/daemon/refusal_log.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

function logged() {
  const clock = new TestClock(1_000_000);
  const lines: string[] = [];
  const write = (level: string) => (event: string, message: string, fields = {}) =>
    void lines.push(`${level} ${event}: ${message} ${JSON.stringify(fields)}`);
  const refuse = refusalLog(
    { error: write("error"), warn: write("warn"), info: write("info"), debug: write("debug") },
    clock,
  );
  return { clock, lines, refuse };
}

Deno.test("refusalLog warns of what may be an attack, and tells the rest for debugging", () => {
  const { lines, refuse } = logged();
  refuse(new BusError("cross_site", "Refused"), () => "127.0.0.1:1");
  refuse(new BusError("no_topic", `No topic "t"`), () => "[::1]:2");
  assertEquals(lines, [
    `warn cross_site: 127.0.0.1:1 Refused {"code":"cross_site","ip":"127.0.0.1:1"}`,
    `debug no_topic: [::1]:2 No topic "t" {"code":"no_topic","ip":"[::1]:2"}`,
  ]);
});

Deno.test("refusalLog writes at most 10 lines a second for each code, and counts the rest", () => {
  const { clock, lines, refuse } = logged();
  for (let i = 0; i < 25; i++) refuse(new BusError("bad_host", "Bad"), () => "127.0.0.1:1");
  refuse(new BusError("proxied", "Refused"), () => "127.0.0.1:1");
  assertEquals(lines.length, 11);
  clock.tick(1000);
  assertEquals(lines.slice(11), [`warn bad_host: 15 more like this left out {"code":"bad_host","lines":15}`]);
});
