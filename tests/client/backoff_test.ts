import { Backoff } from "../../lib/client/backoff.ts";
import { assertEquals } from "../deps.ts";

Deno.test("Backoff.next doubles from the shortest wait to the longest", () => {
  const backoff = new Backoff({ minWaitMs: 2_000, maxWaitMs: 64_000, random: () => 0 });
  const waits = Array.from({ length: 7 }, () => backoff.next());
  assertEquals(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000]);
  backoff.reset();
  assertEquals(backoff.next(), 2_000);
});

Deno.test("Backoff.next cuts a wait by up to a half", () => {
  const backoff = new Backoff({ minWaitMs: 1_000, maxWaitMs: 1_000, random: () => 0.999999 });
  assertEquals(backoff.next(), 501);
});
