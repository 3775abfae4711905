import { BusError, ERROR_CODES, escapeControls, isErrorCode, quote } from "../lib/errors.ts";
import { assert, assertEquals, assertInstanceOf, fc } from "./deps.ts";

Deno.test("ERROR_CODES are one word each, sorted, none twice", () => {
  assertEquals([...new Set(ERROR_CODES)].sort(), [...ERROR_CODES]);
  for (const code of ERROR_CODES) assert(/^[a-z]+(_[a-z]+)*$/.test(code), code);
});

Deno.test("isErrorCode knows every code and nothing else", () => {
  for (const code of ERROR_CODES) assert(isErrorCode(code));
  for (const code of ["", "EMPTY", "no_such_code", "constructor", "__proto__"]) assert(!isErrorCode(code));
});

Deno.test("BusError has its code, message, name and cause", () => {
  const cause = new Error("first");
  const error = new BusError("empty", "Nothing to pull", { cause });
  assertInstanceOf(error, Error);
  const { code, message, name } = error;
  assertEquals({ code, message, name }, { code: "empty", message: "Nothing to pull", name: "BusError" });
  assertEquals(error.cause, cause);
});

Deno.test("quote puts the value in quotation marks", () => {
  assertEquals(quote("foo"), '"foo"');
  assertEquals(quote(""), '""');
});

Deno.test("quote cuts after 100 characters and says so", () => {
  assertEquals(quote("x".repeat(100)), `"${"x".repeat(100)}"`);
  assertEquals(quote("x".repeat(101)), `"${"x".repeat(100)}…"`);
  assertEquals(quote("x".repeat(1e6)).length, 103);
});

Deno.test("escapeControls writes out line ends, terminal sequences and direction marks", () => {
  assertEquals(
    escapeControls("a\nb\r\tc\x1b[2Jd\x7f\x85\u202ee\u200b\u2028\ufeff\ud800"),
    "a\\nb\\r\\tc\\u001b[2Jd\\u007f\\u0085\\u202ee\\u200b\\u2028\\ufeff\\ud800",
  );
});

Deno.test("escapeControls leaves everything else alone", () => {
  const text = 'plain "quoted" \\ grüß 日本 😀 é';
  assertEquals(escapeControls(text), text);
});

const nasty = fc.oneof(
  fc.string({ unit: "binary", size: "medium" }),
  fc.string({
    unit: fc.constantFrom(
      "\n",
      "\r",
      "\t",
      "\x1b",
      "\0",
      "\x7f",
      "\x9b",
      "\u2028",
      "\u202e",
      "\u2066",
      "\ud83d",
      "\ude00",
      "a",
    ),
    size: "medium",
  }),
);

Deno.test("quote and escapeControls never let a control character, direction mark or lone surrogate through", () => {
  fc.assert(
    fc.property(nasty, (text) => {
      for (const shown of [escapeControls(text), quote(text), quote(text.repeat(20))]) {
        assert(!/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u200b-\u200d\u2060\ufeff]/u.test(shown), shown);
        assert(shown.isWellFormed());
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("escapeControls leaves JSON the same JSON", () => {
  const text = JSON.stringify({ tag: "\u{e0067}", bidi: "\u202e", surrogate: "\ud800" });
  assertEquals(JSON.parse(escapeControls(text)), JSON.parse(text));
});
