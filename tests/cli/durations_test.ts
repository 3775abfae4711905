import { durationFlag, timeFlag } from "../../lib/cli/durations.ts";
import { assertEquals } from "../deps.ts";

Deno.test("durationFlag takes durations in its range, and says which", () => {
  const any = durationFlag({ help: "", initial: undefined });
  assertEquals(["1ms", "24d", "0", "25d", "soon"].map(any.read), [1, 24 * 86_400_000, undefined, undefined, undefined]);
  assertEquals(any.wanted, "a duration such as 30s, up to 24d");
  const lease = durationFlag({ help: "", initial: undefined, minMs: 1000, maxMs: 12 * 3_600_000 });
  assertEquals(["1s", "12h", "999ms", "13h"].map(lease.read), [1000, 12 * 3_600_000, undefined, undefined]);
  assertEquals(lease.wanted, "a duration such as 30s, from 1s to 12h");
  assertEquals(durationFlag({ help: "", initial: undefined, minMs: 0 }).read("0"), 0);
});

Deno.test("timeFlag takes a time with its zone, and nothing that only sounds like one", () => {
  const { read } = timeFlag({ help: "" });
  const noon = Date.UTC(2026, 10, 23, 12);
  assertEquals(["2026-11-23T12:00:00Z", "2026-11-23 13:00:00+01:00"].map(read), [noon, noon]);
  for (const text of ["10m", "42", "latest", "last:3", "T1", "2026-11-23", "2026-11-23T12:00:00"]) {
    assertEquals(read(text), undefined, text);
  }
});
