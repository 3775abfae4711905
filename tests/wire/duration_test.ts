import { formatDuration, parseDuration } from "../../lib/wire/duration.ts";
import { assertEquals, fc } from "../deps.ts";

Deno.test("parseDuration reads every unit, and seconds without one", () => {
  const examples = {
    "500ms": 500,
    "30s": 30_000,
    "30": 30_000,
    "10m": 600_000,
    "2h": 7_200_000,
    "7d": 604_800_000,
    "0": 0,
    "0s": 0,
    "0ms": 0,
    "0d": 0,
  };
  for (const [text, ms] of Object.entries(examples)) assertEquals([text, parseDuration(text)], [text, ms]);
});

Deno.test("formatDuration writes the largest unit that keeps it whole", () => {
  const examples = {
    "0s": 0,
    "1ms": 1,
    "1500ms": 1500,
    "1s": 1000,
    "90s": 90_000,
    "1m": 60_000,
    "36h": 36 * 3_600_000,
    "1d": 86_400_000,
    "7d": 7 * 86_400_000,
  };
  for (const [text, ms] of Object.entries(examples)) assertEquals([formatDuration(ms), ms], [text, ms]);
});

Deno.test("parseDuration undoes formatDuration", () => {
  const unit = fc.constantFrom(1, 1000, 60_000, 3_600_000, 86_400_000);
  const ms = fc.oneof(fc.maxSafeNat(), fc.tuple(fc.nat(1e6), unit).map(([n, unitMs]) => n * unitMs));
  fc.assert(fc.property(ms, (ms) => assertEquals(parseDuration(formatDuration(ms)), ms)));
});

Deno.test("parseDuration refuses what is beyond 2^53 - 1 ms", () => {
  assertEquals(parseDuration("9007199254740991ms"), Number.MAX_SAFE_INTEGER);
  for (const text of ["9007199254740992ms", "9007199254741s", "104249992d", "9999999999999999d"]) {
    assertEquals([text, parseDuration(text)], [text, undefined]);
  }
});

const wrong = ["", " ", "s", "ms", "-1s", "+1s", "1.5s", "1e3", "0x10", "01s", "1 s", " 1s", "1s ", "1s\n", "1S", "1w"];
for (const text of [...wrong, "1min", "1h30m", "٣s", "1s\0", "Infinity", "NaN", "1".repeat(1024)]) {
  Deno.test(`parseDuration refuses ${JSON.stringify(text.length > 20 ? "1 KiB of digits" : text)}`, () => {
    assertEquals(parseDuration(text), undefined);
  });
}
