import { largest } from "../../lib/bus/largest.ts";
import { assertEquals, fc } from "../deps.ts";

Deno.test("largest gives what sorting everything would give, equals in the order they came", () => {
  const values = fc.array(fc.record({ key: fc.integer({ min: 0, max: 20 }), name: fc.nat() }), { maxLength: 60 });
  fc.assert(fc.property(values, fc.integer({ min: 0, max: 12 }), (values, count) => {
    const sorted = values.toSorted((a, b) => b.key - a.key).slice(0, count);
    assertEquals(largest(values, count, ({ key }) => key), sorted);
  }));
});

Deno.test("largest takes any iterable, and gives all if there are fewer", () => {
  assertEquals(largest(new Set([3, 1, 2]), 5, (value) => value), [3, 2, 1]);
  assertEquals(largest([], 5, (value) => value), []);
});
