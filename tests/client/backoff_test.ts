import { Backoff } from "../../lib/client/backoff.ts";
import { FrameQueue } from "../../lib/client/frames.ts";
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

Deno.test("FrameQueue gives frames in order and knows their size, however long it is in use", () => {
  const queue = new FrameQueue();
  let [put, got] = [0, 0];
  for (let round = 0; round < 5_000; round++) {
    queue.push(String(put++).padStart(8, "0"));
    queue.push(String(put++).padStart(8, "0"));
    assertEquals(Number(queue.shift()), got++);
  }
  assertEquals(queue.size, 8 * (put - got));
  while (got < put) assertEquals(Number(queue.shift()), got++);
  assertEquals(queue.shift(), undefined);
  assertEquals(queue.size, 0);
});
