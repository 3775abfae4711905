/**
 * The lines that show each message.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import type { Log } from "../../lib/log.ts";
import { messageLog } from "../../lib/daemon/message_log.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

function logged(): { bus: MessageBus; clock: TestClock; lines: string[] } {
  const clock = new TestClock(1_000_000);
  const lines: string[] = [];
  const write = (event: string, message: string) => void lines.push(`${event}: ${message}`);
  const log: Log = { error: write, warn: write, info: write, debug: write };
  return { bus: new MessageBus({ clock, observer: messageLog(log, clock) }), clock, lines };
}

Deno.test("messageLog writes the lines of the original", () => {
  const { bus, lines } = logged();
  bus.subscribe("foo", { label: "[::1]:55341" });
  bus.put("foo", "hi");
  bus.get("foo");
  bus.get("foo");
  assertEquals(lines, [
    "subscribe: [msgbus] Subscribe id=[::1]:55341 topic=foo",
    "put: [msgbus] PUT id=0 topic=foo payload=hi",
    "notify: [msgbus] NotifyAll id=0 topic=foo payload=hi",
    "get: [msgbus] GET topic=foo",
    "get: [msgbus] GET topic=foo",
  ]);
});

Deno.test("messageLog shortens a payload to 64 bytes, and never in the middle of a character", () => {
  const { bus, lines } = logged();
  for (
    const payload of ["x".repeat(64), "x".repeat(65), "é".repeat(40), `x${"é".repeat(40)}`, new Uint8Array([0xff])]
  ) {
    bus.put("foo", payload);
  }
  assertEquals(lines.filter((line) => line.startsWith("put")).map((line) => line.split("payload=")[1]), [
    "x".repeat(64),
    `${"x".repeat(64)}…`,
    `${"é".repeat(32)}…`,
    `x${"é".repeat(31)}…`,
    "\ufffd",
  ]);
});

Deno.test("messageLog writes at most 1000 lines a second, then one that counts what was left out", () => {
  const { bus, clock, lines } = logged();
  for (let i = 0; i < 600; i++) bus.put("foo", "hi");
  assertEquals([lines.length, lines.at(-1)], [1000, "notify: [msgbus] NotifyAll id=499 topic=foo payload=hi"]);
  clock.tick(1000);
  assertEquals([lines.length, lines.at(-1)], [1001, "left_out: [msgbus] 200 more lines left out"]);
  bus.get("foo");
  assertEquals(lines.at(-1), "get: [msgbus] GET topic=foo");
});
