/**
 * The text format.
 *
 * @module
 */

import { encodeExposition, type Family, type Sample } from "../../lib/metrics/exposition.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { assertEquals, assertThrows, fc } from "../deps.ts";
import { readScrape, valueOf } from "./scrape.ts";

function page(...samples: Sample[]): string {
  return encodeExposition([{ name: "a_total", type: "counter", help: "What", samples }]);
}

Deno.test("encodeExposition writes help, type, and a value a line", () => {
  const families: Family[] = [
    {
      name: "a_total",
      type: "counter",
      help: "All a",
      samples: [{ value: 1 }, { labels: { b: "c", d: "" }, value: 2 }],
    },
    { name: "e", type: "gauge", help: "An e", samples: [{ value: -0.5 }] },
  ];
  assertEquals(
    encodeExposition(families),
    `# HELP a_total All a
# TYPE a_total counter
a_total 1
a_total{b="c",d=""} 2
# HELP e An e
# TYPE e gauge
e -0.5
`,
  );
});

Deno.test("encodeExposition leaves out a metric without values", () => {
  assertEquals(page(), "");
});

Deno.test("encodeExposition escapes backslash, quote and line feed in labels, and not the quote in help", () => {
  const family: Family = {
    name: "a",
    type: "gauge",
    help: 'a "b" \\n\nc',
    samples: [{ labels: { l: 'x"\\\n"y' }, value: 1 }],
  };
  assertEquals(encodeExposition([family]), '# HELP a a "b" \\\\n\\nc\n# TYPE a gauge\na{l="x\\"\\\\\\n\\"y"} 1\n');
});

for (
  const [value, text] of [
    [Infinity, "+Inf"],
    [-Infinity, "-Inf"],
    [NaN, "NaN"],
    [0, "0"],
    [2 ** 53 - 1, "9007199254740991"],
    [1e21, "1e+21"],
    [1e-7, "1e-7"],
    [0.1, "0.1"],
  ] as const
) {
  Deno.test(`encodeExposition writes ${value} as ${text}`, () => {
    assertEquals(page({ value }).split("\n")[2], `a_total ${text}`);
  });
}

Deno.test("encodeExposition: whatever labels, help and value are, they are read as they were written", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("\\", '"', "\n", "n", "}", "=", ",") }),
  );
  fc.assert(fc.property(nasty, nasty, nasty, fc.double(), (help, a, b, value) => {
    const text = encodeExposition([{ name: "m", type: "gauge", help, samples: [{ labels: { a, b }, value }] }]);
    const read = readScrape(text);
    assertEquals(read.get("m")?.help, help);
    assertEquals(read.get("m")?.samples, [{ name: "m", labels: { a, b }, value: value === 0 ? 0 : value }]);
  }));
});

Deno.test("Histogram counts a value in its bucket and all larger ones, a bound in its own", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0, 0.5, 0.75, 1, 2]) histogram.observe(value);
  const family: Family = { name: "h", type: "histogram", help: "H", samples: histogram.samples({ route: "x" }) };
  assertEquals(
    encodeExposition([family]).split("\n").slice(2, -1),
    [
      'h_bucket{route="x",le="0.5"} 2',
      'h_bucket{route="x",le="1"} 4',
      'h_bucket{route="x",le="+Inf"} 5',
      'h_sum{route="x"} 4.25',
      'h_count{route="x"} 5',
    ],
  );
  assertEquals(valueOf(readScrape(encodeExposition([family])), "h_bucket", { route: "x", le: "1" }), 4);
});

/** What the reader of these tests must not accept. */
const BROKEN: readonly (readonly [what: string, text: string])[] = [
  ["a last line without end", "# HELP a b\n# TYPE a gauge\na 1"],
  ["a metric twice", "# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\na 2\n"],
  ["values of a metric apart", '# HELP a b\n# TYPE a gauge\na 1\n# HELP c d\n# TYPE c gauge\nc 1\na{x="y"} 1\n'],
  ["a series twice", '# HELP a b\n# TYPE a gauge\na{x="y"} 1\na{x="y"} 2\n'],
  ["a quote in a label", '# HELP a b\n# TYPE a gauge\na{x="y"z"} 1\n'],
  ["a backslash in a label", '# HELP a b\n# TYPE a gauge\na{x="y\\z"} 1\n'],
  ["a number of JavaScript", "# HELP a b\n# TYPE a gauge\na Infinity\n"],
  ["a counter below 0", "# HELP a b\n# TYPE a counter\na -1\n"],
  ["a histogram without +Inf", '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'],
];

for (const [what, text] of BROKEN) {
  Deno.test(`readScrape refuses ${what}`, () => void assertThrows(() => readScrape(text), Error));
}
