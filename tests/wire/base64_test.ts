import { decodeBase64, decodeByAtob, encodeBase64, encodeByBtoa } from "../../lib/wire/base64.ts";
import { assertEquals, assertThrows, fc } from "../deps.ts";

const bytes = fc.uint8Array({ size: "medium" });

Deno.test("encodeBase64 writes the test vectors of RFC 4648 section 10", () => {
  const vectors = {
    "": "",
    f: "Zg==",
    fo: "Zm8=",
    foo: "Zm9v",
    foob: "Zm9vYg==",
    fooba: "Zm9vYmE=",
    foobar: "Zm9vYmFy",
  };
  for (const [text, base64] of Object.entries(vectors)) {
    const bytes = new TextEncoder().encode(text);
    assertEquals([encodeBase64(bytes), encodeByBtoa(bytes)], [base64, base64]);
    assertEquals([decodeBase64(base64), decodeByAtob(base64)], [bytes, bytes]);
  }
});

Deno.test("encodeBase64 and encodeByBtoa agree, and decodeBase64 and decodeByAtob undo them", () => {
  fc.assert(fc.property(bytes, (bytes) => {
    const base64 = encodeBase64(bytes);
    assertEquals(encodeByBtoa(bytes), base64);
    assertEquals(decodeBase64(base64), bytes);
    assertEquals(decodeByAtob(base64), bytes);
  }));
});

Deno.test("encodeByBtoa encodes payloads longer than one chunk", () => {
  for (const length of [8191, 8192, 8193, 100_000, 1024 ** 2]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
    assertEquals(encodeByBtoa(bytes), encodeBase64(bytes));
  }
});

Deno.test("encodeBase64 and encodeByBtoa encode the view, not the buffer behind it", () => {
  const view = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3);
  assertEquals([encodeBase64(view), encodeByBtoa(view)], ["AgM=", "AgM="]);
});

/** What `decode` makes of a text: bytes, or an error. */
const outcomeOf = (decode: (text: string) => Uint8Array, text: string): Uint8Array | "refused" => {
  try {
    return decode(text);
  } catch {
    return "refused";
  }
};

Deno.test("decodeBase64 and decodeByAtob accept and refuse the same texts", () => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."AZaz09+/=-_ \n") }),
    fc.base64String(),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (text) => {
      assertEquals(outcomeOf(decodeByAtob, text), outcomeOf(decodeBase64, text));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeBase64 and decodeByAtob throw for what is not base64", () => {
  for (const decode of [decodeBase64, decodeByAtob]) {
    for (const text of ["!", "A", "AA=A", "Zg===", "é"]) assertThrows(() => decode(text));
  }
});
