import { formatSize, parseSize } from "../../lib/wire/size.ts";
import { assertEquals, fc } from "../deps.ts";

Deno.test("parseSize reads every unit, and bytes without one", () => {
  const examples = { "0": 0, "512": 512, "64KiB": 65_536, "1MiB": 1_048_576, "2GiB": 2_147_483_648, "0GiB": 0 };
  for (const [text, bytes] of Object.entries(examples)) assertEquals([text, parseSize(text)], [text, bytes]);
});

Deno.test("formatSize writes the largest unit that keeps it whole", () => {
  const examples = {
    "0": 0,
    "1": 1,
    "1023": 1023,
    "1KiB": 1024,
    "1025": 1025,
    "64MiB": 64 * 1024 ** 2,
    "2GiB": 2 ** 31,
  };
  for (const [text, bytes] of Object.entries(examples)) assertEquals([formatSize(bytes), bytes], [text, bytes]);
});

Deno.test("parseSize undoes formatSize", () => {
  const bytes = fc.oneof(
    fc.maxSafeNat(),
    fc.tuple(fc.nat(1e6), fc.constantFrom(1, 1024, 1024 ** 2, 1024 ** 3)).map(([n, unit]) => n * unit),
  );
  fc.assert(fc.property(bytes, (bytes) => assertEquals(parseSize(formatSize(bytes)), bytes)));
});

Deno.test("parseSize refuses what is beyond 2^53 - 1 bytes", () => {
  assertEquals(parseSize("9007199254740991"), Number.MAX_SAFE_INTEGER);
  for (const text of ["9007199254740992", "8796093022208KiB", "8388608GiB"]) {
    assertEquals([text, parseSize(text)], [text, undefined]);
  }
});

const wrong = [
  "",
  "KiB",
  "-1",
  "+1",
  "1.5MiB",
  "1e3",
  "0x10",
  "01",
  "1 KiB",
  " 1",
  "1 ",
  "1\n",
  "1kib",
  "1KB",
  "1K",
  "1B",
];
for (const text of [...wrong, "1TiB", "٣", "1\0", "Infinity", "1".repeat(1024)]) {
  Deno.test(`parseSize refuses ${JSON.stringify(text.length > 20 ? "1 KiB of digits" : text)}`, () => {
    assertEquals(parseSize(text), undefined);
  });
}
