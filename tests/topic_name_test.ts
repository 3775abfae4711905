import {
  assertPublishable,
  canonicalTopicName,
  isEndpoint,
  MAX_TOPIC_BYTES,
  MAX_TOPIC_SEGMENTS,
} from "../lib/topic_name.ts";
import { codeOf } from "./bus/error_code.ts";
import { assert, assertEquals, assertThrows, fc } from "./deps.ts";

const accepted = [
  "orders",
  "orders/eu/42",
  "a",
  "-",
  "-/x",
  "a/-dead",
  "metrics",
  "a.b",
  "...",
  ".hidden",
  "a..b",
  "with space",
  "a@b:c;d=e&f!g$h(i)'j+k~l|m<n>{o}[p]^q`r\"s",
  "caf\u00e9",
  "日本/東京",
  "😀",
  "e\u0302\u0323".normalize("NFC"),
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "\ufffd",
  "…",
];
for (const name of accepted) {
  Deno.test(`canonicalTopicName accepts ${JSON.stringify(name)} as it is`, () => {
    assertEquals(canonicalTopicName(name), name);
  });
}

Deno.test("canonicalTopicName drops slashes at both ends and no others", () => {
  for (const name of ["a/b", "/a/b", "a/b/", "/a/b/", "//a/b", "///a/b///"]) {
    assertEquals(canonicalTopicName(name), "a/b");
  }
  assertEquals(canonicalTopicName("//evil/x"), "evil/x");
});

const refused: Record<string, readonly string[]> = {
  "an empty name": ["", "/", "////"],
  "an empty segment": ["a//b", "a///b/c"],
  'a segment "." or ".."': [".", "..", "a/../b", "a/./b", "../a", "a/..", "/../"],
  "what compatibility forms turn into dots": ["．", "．．", "a/．．/b", "․․", "‥", "a/‥/b", "a／．．／b"],
  "a backslash": ["a\\..\\b", "\\"],
  "a percent sign": ["%2e%2e", "100%", "%u0041"],
  "a wildcard, list, query or fragment": ["*", "a/*", "a/**", "a,b", "a?b", "?", "a#b", "#"],
  "a C0 control": ["a\0b", "a\rb", "a\nb", "a\tb", "a\x1fb", "\x1b[2J"],
  "DEL or a C1 control": ["a\x7fb", "a\x80b", "a\x85b", "a\x9fb"],
  "a line or paragraph separator": ["a\u2028b", "a\u2029b"],
  "a zero-width character": ["a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "a\ufeffb", "\u200b"],
  "a direction mark": ["a\u200eb", "a\u200fb", "a\u202ab", "a\u202eb", "a\u2066b", "a\u2069b", "a\u061cb"],
  "a lone surrogate": ["a\ud800b", "\udc00", "\ude00\ud83d"],
  "a non-character": ["a\ufdd0b", "a\ufdefb", "a\ufffeb", "a\uffffb", "a\u{1fffe}b", "a\u{10ffff}b"],
};
for (const [what, names] of Object.entries(refused)) {
  Deno.test(`canonicalTopicName refuses ${what} with bad_topic`, () => {
    for (const name of names) assertEquals([name, codeOf(() => canonicalTopicName(name))], [name, "bad_topic"]);
  });
}

Deno.test("canonicalTopicName refuses a name in normal form D with not_nfc, and accepts it in form C", () => {
  assertEquals(codeOf(() => canonicalTopicName("cafe\u0301")), "not_nfc");
  assertEquals(codeOf(() => canonicalTopicName("\u212b")), "not_nfc");
  assertEquals(canonicalTopicName("cafe\u0301".normalize("NFC")), "caf\u00e9");
});

Deno.test("canonicalTopicName accepts 512 bytes of UTF-8 and refuses 513", () => {
  assertEquals(MAX_TOPIC_BYTES, 512);
  for (const [unit, count] of [["a", 512], ["é", 256], ["日本", 85], ["😀", 128]] as const) {
    const name = unit.repeat(count);
    assertEquals(canonicalTopicName(`/${name}/`), name);
    assertEquals(codeOf(() => canonicalTopicName(name.padEnd(name.length + 513, "a"))), "bad_topic");
  }
  assertEquals(codeOf(() => canonicalTopicName("a".repeat(513))), "bad_topic");
  assertEquals(codeOf(() => canonicalTopicName("é".repeat(256) + "a")), "bad_topic");
  assertEquals(codeOf(() => canonicalTopicName("a".repeat(1e6))), "bad_topic");
});

Deno.test("canonicalTopicName accepts 16 segments and refuses 17", () => {
  assertEquals(MAX_TOPIC_SEGMENTS, 16);
  const name = Array(16).fill("a").join("/");
  assertEquals(canonicalTopicName(`/${name}/`), name);
  assertEquals(codeOf(() => canonicalTopicName(`${name}/a`)), "bad_topic");
});

Deno.test("canonicalTopicName says in one line what it saw and what is wrong with it", () => {
  assertThrows(() => canonicalTopicName("a\nb"), Error, 'Bad topic name "a\\nb": U+000A is a control character');
  assertThrows(() => canonicalTopicName("a\u202eb"), Error, 'Bad topic name "a\\u202eb": U+202E is invisible');
  assertThrows(() => canonicalTopicName("a\ufffe"), Error, "U+FFFE is not a character");
  assertThrows(() => canonicalTopicName("a,b"), Error, 'Bad topic name "a,b": "," is not allowed');
});

const anyName = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom("a", "/", ".", "-", "．", "e", "\u0301", "é", "%", "\n", "\u200b", "\ud83d", "\ude00"),
  }),
);

Deno.test("canonicalTopicName of what it gave is the same name", () => {
  fc.assert(
    fc.property(anyName, (text) => {
      let name: string;
      try {
        name = canonicalTopicName(text);
      } catch {
        return;
      }
      assertEquals(canonicalTopicName(name), name);
      assertEquals(canonicalTopicName(`/${name}//`), name);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("canonicalTopicName gives only names that no path, line or terminal reads as something else", () => {
  fc.assert(
    fc.property(anyName, (text) => {
      let name: string;
      try {
        name = canonicalTopicName(text);
      } catch {
        return;
      }
      assert(name.isWellFormed() && name === name.normalize("NFC"));
      assert(!/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}*,?#%\\]/u.test(name));
      const path = `/${name.split("/").map(encodeURIComponent).join("/")}`;
      assertEquals(new URL(path, "http://localhost").pathname, path);
      assertEquals(decodeURIComponent(path), `/${name}`);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("assertPublishable refuses the server's names with reserved", () => {
  for (const name of ["-", "-/x", "-x", "a/-dead", "a/-", "a/b/-c/d", "metrics"]) {
    assertEquals([name, codeOf(() => assertPublishable(name))], [name, "reserved"]);
  }
});

Deno.test("assertPublishable accepts everything else", () => {
  for (const name of ["a", "a-b", "a/b-", "metrics/x", "a/metrics", "Metrics"]) assertPublishable(name);
});

Deno.test("isEndpoint knows the names that are never topics", () => {
  for (const name of ["-", "-/x", "-/health", "metrics"]) assert(isEndpoint(name), name);
  for (const name of ["-x", "a", "a/-", "a/metrics", "metrics/x"]) assert(!isEndpoint(name), name);
});
