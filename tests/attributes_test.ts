import {
  attributesOf,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  withoutServerHeaders,
  withServerHeaders,
} from "../lib/attributes.ts";
import type { Attributes } from "../lib/message.ts";
import { codeOf } from "./bus/error_code.ts";
import { BusError } from "../lib/errors.ts";
import { assert, assertEquals, assertGreater, assertInstanceOf, assertThrows, fc } from "./deps.ts";

/** The parts of attributes, as plain objects. */
function seen(attributes: Attributes | undefined) {
  if (attributes === undefined) return undefined;
  const { contentType, headers, key } = attributes;
  return { contentType, headers: headers && { ...headers }, key };
}

const headersOf = (headers: Readonly<Record<string, string>>) => ({ ...attributesOf({ headers })?.headers });
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, ""]));

Deno.test("attributesOf is undefined if nothing is said", () => {
  for (const given of [{}, { headers: {} }, { contentType: undefined, headers: undefined, key: undefined }]) {
    assertEquals(attributesOf(given), undefined);
  }
});

Deno.test("attributesOf keeps what is said, with the names of headers in lower case", () => {
  assertEquals(
    seen(attributesOf({ contentType: "Text/Plain; charset=UTF-8", headers: { "X-Trace": "É 1" }, key: "k" })),
    {
      contentType: "Text/Plain; charset=UTF-8",
      headers: { "x-trace": "É 1" },
      key: "k",
    },
  );
  assertEquals(seen(attributesOf({ key: "k", headers: {} })), { contentType: undefined, headers: undefined, key: "k" });
});

Deno.test("attributesOf takes any name as a name", () => {
  const headers = attributesOf({ headers: JSON.parse('{"__proto__":"a","constructor":"b","toString":"c"}') })!.headers!;
  assertEquals(Object.entries(headers), [["__proto__", "a"], ["constructor", "b"], ["tostring", "c"]]);
  assertEquals(Object.getPrototypeOf(headers), null);
});

for (
  const contentType of [
    "text/plain",
    "a/b",
    "application/vnd.x+json",
    "text/plain;charset=utf-8",
    'text/plain ; charset=utf-8; x="a b\\"; c"',
    "text/plain;",
    "text/plain;;; a=b",
    "!#$%&'*+.^_`|~-/x",
    `a/${"b".repeat(253)}`,
  ]
) {
  Deno.test(`attributesOf takes the content type ${contentType.slice(0, 40)}`, () => {
    assertEquals(attributesOf({ contentType })?.contentType, contentType);
  });
}

for (
  const contentType of [
    "",
    "text",
    "text/",
    "/plain",
    "text/plain/x",
    " text/plain",
    "text/plain ",
    "text /plain",
    "text/plain, text/html",
    "text/plain; charset",
    "text/plain; charset=",
    "text/plain; =utf-8",
    'text/plain; x="a',
    'text/plain; x="a\\"',
    'text/plain; x="日"',
    'text/plain; x="é"',
    "text/pläin",
    "text/plain\r\nset-cookie: a=b",
    "text/plain\n",
    "text/plain;\tx=y",
    'text/plain; x="\t"',
    "text/plain\0",
    `a/${"b".repeat(254)}`,
    // A regular expression that can read blanks in two ways never comes to an end here.
    `a/b${";   ".repeat(60)}!`,
    `a/b${'; x="\\a'.repeat(30)}`,
    5 as unknown as string,
    null as unknown as string,
  ]
) {
  Deno.test(`attributesOf refuses the content type ${JSON.stringify(contentType)?.slice(0, 40)}`, () => {
    assertEquals(codeOf(() => attributesOf({ contentType })), "bad_header");
  });
}

for (
  const [what, headers] of Object.entries<unknown>({
    "an empty name": { "": "a" },
    "a name with a blank": { "a b": "c" },
    "a name with a colon": { "a:": "b" },
    "a name with a line end": { "a\r\nb": "c" },
    "a name beyond ASCII": { "é": "a" },
    "a name of the server's": { "msgbus-reply-to": "a" },
    "a name of the server's in capitals": { "MSGBUS-Dead-Topic": "a" },
    "a name twice in different cases": { "A": "1", "a": "2" },
    "a value with CR": { a: "b\rc" },
    "a value with LF": { a: "b\nc" },
    "a value with NUL": { a: "b\0" },
    "a value with a tab": { a: "b\tc" },
    "a value with DEL": { a: "\x7f" },
    "a value with C1": { a: "\x85" },
    "a value with half a character": { a: "\ud83d" },
    "a value that is no text": { a: 1 },
    "a value that is nothing": { a: null },
    "a value that can't be made a text": { a: { toString: 1 } },
    "a value too deep to be made a text": { a: JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) },
    "a text": "abc",
    "a list": ["a"],
    "nothing": null,
    "a number": 5,
  })
) {
  Deno.test(`attributesOf refuses headers with ${what}`, () => {
    assertEquals(codeOf(() => attributesOf({ headers: headers as Record<string, string> })), "bad_header");
  });
}

Deno.test("attributesOf takes 64 headers, and 65 are too large", () => {
  assertEquals(Object.keys(headersOf(many(MAX_HEADERS))).length, 64);
  assertEquals(codeOf(() => attributesOf({ headers: many(65) })), "headers_too_large");
});

Deno.test("attributesOf takes 8 KiB of names and values in UTF-8, and a byte more is too large", () => {
  const value = "é".repeat((MAX_HEADER_BYTES - 2) / 2);
  assertEquals(headersOf({ ab: value }), { ab: value });
  assertEquals(codeOf(() => attributesOf({ headers: { abc: value } })), "headers_too_large");
  assertEquals(codeOf(() => attributesOf({ headers: { ab: value, c: "" } })), "headers_too_large");
});

Deno.test("attributesOf takes a key of 256 bytes in UTF-8, and a byte more is too large", () => {
  for (const key of ["k", "a b/c", "é".repeat(128), "%00", "😀"]) assertEquals(attributesOf({ key })?.key, key);
  for (const key of ["x".repeat(257), `é`.repeat(128) + "x"]) {
    assertEquals(codeOf(() => attributesOf({ key })), "headers_too_large");
  }
});

for (const key of ["", "a\n", "\0", "\x9f", "\udc00", 1 as unknown as string]) {
  Deno.test(`attributesOf refuses the key ${JSON.stringify(key)}`, () => {
    assertEquals(codeOf(() => attributesOf({ key })), "bad_header");
  });
}

Deno.test("attributesOf says what it saw in one line of bounded length", () => {
  for (const given of [{ key: "\n".repeat(999) }, { contentType: "\n".repeat(999) }, { headers: { "\n": "x" } }]) {
    const { message } = assertThrows(() => attributesOf(given), Error);
    assert(/^\P{Cc}+$/u.test(message) && message.length < 800, message);
  }
});

Deno.test("attributesOf takes nothing that an HTTP header, once percent-encoded, can't carry", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("\r", "\n", "\0", "a", "é", " ", '"', "\\", ";", "日") }),
  );
  let taken = 0;
  const takenOf = (given: Attributes) => {
    try {
      const attributes = attributesOf(given);
      taken++;
      return attributes;
    } catch (error) {
      assertInstanceOf(error, BusError);
      return undefined;
    }
  };
  fc.assert(
    fc.property(nasty, nasty, (name, value) => {
      for (const contentType of [value, `a/b; c="${value}"`, `a/${value}`]) {
        const attributes = takenOf({ contentType });
        if (attributes !== undefined) assertEquals(new Headers([["x", attributes.contentType!]]).get("x"), contentType);
      }
      const attributes = takenOf({ headers: { [name]: "", "x": value }, key: value });
      for (const [name, value] of Object.entries(attributes?.headers ?? {})) {
        assertEquals(new Headers([[name, encodeURIComponent(value)]]).get(name), encodeURIComponent(value));
      }
      if (attributes !== undefined) assertEquals(attributes.headers!.x, value);
    }),
    { numRuns: 2000 },
  );
  assertGreater(taken, 200);
});

Deno.test("withServerHeaders adds to what a publisher said, and withoutServerHeaders takes it away again", () => {
  const more = { "msgbus-reply-to": "t" };
  const said = attributesOf({ contentType: "a/b", headers: { x: "1" }, key: "k" });
  assertEquals(seen(withServerHeaders(said, more)), {
    contentType: "a/b",
    headers: { x: "1", "msgbus-reply-to": "t" },
    key: "k",
  });
  assertEquals(seen(withoutServerHeaders(withServerHeaders(said, more))), seen(said));
  assertEquals(seen(withServerHeaders(undefined, more)), { contentType: undefined, headers: more, key: undefined });
  assertEquals(withoutServerHeaders(withServerHeaders(undefined, more)), undefined);
  assertEquals(withoutServerHeaders(undefined), undefined);
  assertEquals(seen(withoutServerHeaders(withServerHeaders(attributesOf({ key: "k" }), more))), {
    contentType: undefined,
    headers: undefined,
    key: "k",
  });
});
