import { fingerprintOf } from "../../lib/bus/fingerprint.ts";
import { assertEquals, assertMatch, assertNotEquals, fc } from "../deps.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("fingerprintOf gives 16 hexadecimal digits, the same on every machine", () => {
  assertEquals(fingerprintOf("publish", []), "2241a70a35c60b2a");
  assertEquals(fingerprintOf("publish", [bytesOf("hello")]), "062f67b2928aab8c");
  assertEquals(fingerprintOf("publish", [Uint8Array.from({ length: 1000 }, (_, i) => i)]), "6ecad6f39486a000");
});

Deno.test("fingerprintOf depends on nothing but the bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (bytes, offset) => {
    const buffer = new Uint8Array(offset + bytes.length + 5).fill(0xff);
    buffer.set(bytes, offset);
    const view = buffer.subarray(offset, offset + bytes.length);
    assertEquals(fingerprintOf("x", [view]), fingerprintOf("x", [bytes]));
    assertMatch(fingerprintOf("x", [view]), /^[0-9a-f]{16}$/);
  }));
});

Deno.test("fingerprintOf differs if one bit does", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), (bytes, at) => {
    const other = bytes.slice();
    other[at % bytes.length]! ^= 1 << (at % 8);
    assertNotEquals(fingerprintOf("x", [other]), fingerprintOf("x", [bytes]));
  }));
});

Deno.test("fingerprintOf differs if the same bytes are cut into other payloads, or are for something else", () => {
  const cuts: readonly (readonly string[])[] = [
    ["ab"],
    ["a", "b"],
    ["ab", ""],
    ["", "ab"],
    ["a", "", "b"],
    ["ba"],
    ["ab\0"],
    ["ab\0\0"],
    ["\0ab"],
    [],
    [""],
    ["", ""],
  ];
  const all = ["publish", "schedule"].flatMap((label) => cuts.map((cut) => fingerprintOf(label, cut.map(bytesOf))));
  assertEquals(new Set(all).size, all.length);
});

Deno.test("fingerprintOf gives nothing twice for 50 000 short bodies", () => {
  const seen = new Set<string>();
  for (let i = 0; i < 50_000; i++) seen.add(fingerprintOf("publish", [bytesOf(`{"order":${i}}`)]));
  assertEquals(seen.size, 50_000);
});
