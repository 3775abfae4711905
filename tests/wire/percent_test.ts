import { decodeBytes, decodePercent, encodePercent } from "../../lib/wire/percent.ts";
import { assert, assertEquals, assertMatch, fc } from "../deps.ts";

/** A text as platforms give a header that has its UTF-8: a character for each byte. */
const asBytes = (text: string) => String.fromCharCode(...new TextEncoder().encode(text));

Deno.test("encodePercent leaves printable ASCII alone, but for percent signs and blanks", () => {
  assertEquals(encodePercent("a/b?c=d;e,f'\"~+"), "a/b?c=d;e,f'\"~+");
  assertEquals(encodePercent("100% é\r\nx: y"), "100%25%20%C3%A9%0D%0Ax:%20y");
  assertEquals(encodePercent(" "), "%20");
  assertEquals(encodePercent("😀日"), "%F0%9F%98%80%E6%97%A5");
});

Deno.test("decodePercent undoes encodePercent, which gives what any header can carry", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("%", "\r", "\n", "é", " ", "😀", "a") }),
  );
  fc.assert(fc.property(text, (text) => {
    const encoded = encodePercent(text);
    assertMatch(encoded, /^[\x21-\x7e]*$/);
    assertEquals(new Headers([["x", encoded]]).get("x"), encoded);
    assertEquals(decodePercent(encoded), text);
    assertEquals(decodeURIComponent(encoded), text);
  }));
});

Deno.test("decodePercent reads bytes beyond ASCII as UTF-8, and percent signs in between", () => {
  assertEquals(decodePercent(asBytes("é 😀 %C3%A9 a+b")), "é 😀 é a+b");
  assertEquals(decodePercent(""), "");
});

Deno.test("decodePercent refuses what is not UTF-8, and percent signs that begin nothing", () => {
  for (
    const bytes of ["\xff", "\xc3", "\xe9t\xe9", "%", "%4", "%zz", "%ff", "%C3", "%C3\xa9", "%ED%A0%80", "\xed\xa0\x80"]
  ) {
    assertEquals(decodePercent(bytes), undefined, bytes);
  }
});

Deno.test("decodeBytes leaves percent signs alone", () => {
  assertEquals(decodeBytes(asBytes("100% é %41")), "100% é %41");
  assertEquals(decodeBytes("\xff%41"), undefined);
});

Deno.test("decodeBytes gives any text back from its bytes", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => assertEquals(decodeBytes(asBytes(text)), text)));
  assert(decodeBytes("a\x7f\0") !== undefined);
});
