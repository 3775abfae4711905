import { formatGap } from "../../lib/cli/reader.ts";
import { assertEquals } from "../deps.ts";

Deno.test("formatGap says how many messages are missing, and which, as far as that is known", () => {
  const gap = (from: number | null, to: number | null) => formatGap({ topic: "orders", from, to, reason: "expired" });
  assertEquals(gap(7, 9), 'missed 3 messages of "orders" (7 to 9): expired');
  assertEquals(gap(7, 7), 'missed 1 message of "orders" (7): expired');
  assertEquals(gap(null, 9), 'missed messages of "orders" (up to 9): expired');
  assertEquals(gap(7, null), 'missed messages of "orders" (from 7 on): expired');
  assertEquals(gap(null, null), 'missed messages of "orders": expired');
});
