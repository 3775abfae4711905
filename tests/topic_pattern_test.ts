import { hasWildcard, MAX_LISTED_TOPICS, parseTopicPattern } from "../lib/topic_pattern.ts";
import { matchesItem } from "./matches_item.ts";
import { BusError } from "../lib/errors.ts";
import { codeOf } from "./bus/error_code.ts";
import { assertEquals, assertStringIncludes, assertThrows, fc } from "./deps.ts";

Deno.test("parseTopicPattern takes a name for a single topic, in its canonical spelling", () => {
  assertEquals(parseTopicPattern("/orders/eu/"), { text: "orders/eu", items: ["orders/eu"], topic: "orders/eu" });
});

Deno.test("parseTopicPattern takes the names between commas, each in its canonical spelling", () => {
  assertEquals(parseTopicPattern("/a,b/,c/d"), { text: "a,b,c/d", items: ["a", "b", "c/d"], topic: undefined });
});

Deno.test("parseTopicPattern keeps what is listed twice once, in whatever spelling", () => {
  assertEquals(parseTopicPattern("a/*,b,/a/*/,b").items, ["a/*", "b"]);
});

Deno.test("parseTopicPattern takes a list of one and the same name for a single topic", () => {
  assertEquals(parseTopicPattern("a,/a/"), { text: "a", items: ["a"], topic: "a" });
});

for (const pattern of ["*", "**", "a/*", "*/a", "a/*/b", "*/*", "*/**", "a/**", "-a/*", "a/-x/*"]) {
  Deno.test(`parseTopicPattern takes ${pattern} as it is, never for a single topic`, () => {
    assertEquals(parseTopicPattern(pattern), { text: pattern, items: [pattern], topic: undefined });
    assertEquals(parseTopicPattern(`/${pattern}/`).text, pattern);
  });
}

for (const pattern of ["a*", "*a", "a/b*", "***", "a/***", "a/**/b", "**/a", "**/*", "*/**/*"]) {
  Deno.test(`parseTopicPattern refuses ${pattern}: a wildcard is a whole segment, ** the last one`, () => {
    assertEquals(codeOf(() => parseTopicPattern(pattern)), "bad_topic");
  });
}

for (const pattern of ["", "/", ",", "a,", ",a", "a,,b", "a//*", "../*", "*/.", "a?/*", "a,b#", "a%2F*", "a\n/*"]) {
  Deno.test(`parseTopicPattern refuses ${JSON.stringify(pattern)}, which has no name where one must be`, () => {
    assertEquals(codeOf(() => parseTopicPattern(pattern)), "bad_topic");
  });
}

Deno.test("parseTopicPattern says what was sent when it refuses", () => {
  for (const pattern of ["a//*", "/../**/", "caf\u0065\u0301/*"]) {
    assertStringIncludes(
      assertThrows(() => parseTopicPattern(pattern), BusError).message,
      `Bad topic name "${pattern}"`,
    );
  }
});

Deno.test("parseTopicPattern refuses what is not NFC with not_nfc, beside wildcards too", () => {
  assertEquals(codeOf(() => parseTopicPattern("cafe\u0301/*")), "not_nfc");
  assertEquals(codeOf(() => parseTopicPattern("a,cafe\u0301")), "not_nfc");
});

Deno.test("parseTopicPattern takes 64 items and refuses 65", () => {
  const names = Array.from({ length: MAX_LISTED_TOPICS + 1 }, (_, i) => `t${i}`);
  assertEquals(MAX_LISTED_TOPICS, 64);
  assertEquals(parseTopicPattern(names.slice(1).join(",")).items.length, 64);
  assertEquals(codeOf(() => parseTopicPattern(names.join(","))), "bad_topic");
});

Deno.test("parseTopicPattern takes 16 segments with wildcards and refuses 17", () => {
  assertEquals(parseTopicPattern(Array(16).fill("*").join("/")).items.length, 1);
  assertEquals(codeOf(() => parseTopicPattern(Array(17).fill("*").join("/"))), "bad_topic");
});

Deno.test("parseTopicPattern reads its own text as itself", () => {
  const segment = fc.constantFrom("a", "b", "-x", "é", "*");
  const segments = fc.array(segment, { minLength: 1, maxLength: 4 });
  const item = fc.tuple(segments, fc.constantFrom("", "/**"), fc.constantFrom("", "/"))
    .map(([segments, tail, slash]) => slash + segments.join("/") + tail + slash);
  fc.assert(fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), (items) => {
    const pattern = parseTopicPattern(items.join(","));
    assertEquals(parseTopicPattern(pattern.text), pattern);
  }));
});

Deno.test("hasWildcard tells patterns from names", () => {
  assertEquals(["a", "a/b", "*", "a/**"].map(hasWildcard), [false, false, true, true]);
});

const NAMES = ["a", "a/b", "a/b/c", "b", "a/-dead", "a/-dead/b", "-x", "a/b/-dead"];
const matches: Record<string, string[]> = {
  "a": ["a"],
  "a/b": ["a/b"],
  "*": ["a", "b"],
  "**": ["a", "a/b", "a/b/c", "b"],
  "a/*": ["a/b"],
  "a/**": ["a/b", "a/b/c"],
  "*/b": ["a/b"],
  "*/*": ["a/b"],
  "*/**": ["a/b", "a/b/c"],
  "a/-dead": ["a/-dead"],
  "*/-dead": ["a/-dead"],
  "a/-dead/*": ["a/-dead/b"],
  "a/-dead/**": ["a/-dead/b"],
  "a/*/-dead": ["a/b/-dead"],
  "c/**": [],
};
for (const [item, names] of Object.entries(matches)) {
  Deno.test(`matchesItem finds for ${item} of ${NAMES.length} topics: ${names.join(" ") || "none"}`, () => {
    assertEquals(NAMES.filter((name) => matchesItem(item, name)), names);
  });
}
