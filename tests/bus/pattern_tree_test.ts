import { PatternTree } from "../../lib/bus/pattern_tree.ts";
import { matchesItem } from "../matches_item.ts";
import { assert, assertEquals, assertNotEquals, fc } from "../deps.ts";

const segment = fc.constantFrom("a", "b", "-x", "__proto__");
const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
const pattern = fc.tuple(
  fc.array(fc.oneof(segment, fc.constant("*")), { minLength: 0, maxLength: 4 }),
  fc.constantFrom("**", "*", "a"),
).map(([segments, last]) => [...segments, last].join("/"));
const step = fc.record({ add: fc.boolean(), pattern, value: fc.nat(3) });

Deno.test("PatternTree.matching is what matches item by item, after any additions and removals", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), fc.array(name, { maxLength: 20 }), (steps, names) => {
      const tree = new PatternTree<number>();
      const filed = new Set<string>();
      for (const { add, pattern, value } of steps) {
        if (add) {
          tree.add(pattern, value);
          filed.add(`${value} ${pattern}`);
        } else {
          tree.remove(pattern, value);
          filed.delete(`${value} ${pattern}`);
        }
        for (const name of [pattern, ...names]) {
          const sets = tree.matching(name);
          const expected = [...filed].map((line) => line.split(" ")).filter(([_, item]) => matchesItem(item!, name));
          assert(sets.every((set) => set.size > 0), "an empty set");
          assertEquals(sets.flatMap((set) => [...set]).sort(), expected.map(([value]) => Number(value)).sort());
        }
        const here = [...filed].filter((line) => line.split(" ")[1] === pattern).map((line) => Number(line[0]));
        assertEquals([...tree.at(pattern) ?? []].sort(), here.sort());
      }
    }),
  );
});

Deno.test("PatternTree.version is another one whenever there are other sets", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), fc.array(name, { maxLength: 20 }), (steps, names) => {
      const tree = new PatternTree<number>();
      for (const { add, pattern, value } of steps) {
        const { version } = tree;
        const before = names.map((name) => tree.matching(name));
        if (add) tree.add(pattern, value);
        else tree.remove(pattern, value);
        if (tree.version !== version) continue;
        const same = names.every((name, i) => {
          const after = tree.matching(name);
          return after.length === before[i]!.length && after.every((set, j) => set === before[i]![j]);
        });
        assert(same, "other sets, and the same version");
      }
    }),
  );
});

Deno.test("PatternTree.version stays when a second value comes and goes", () => {
  const tree = new PatternTree<string>();
  tree.add("a/*", "x");
  const { version } = tree;
  tree.add("a/*", "y");
  tree.remove("a/*", "y");
  tree.remove("b", "x");
  assertEquals(tree.version, version);
  tree.remove("a/*", "x");
  assertNotEquals(tree.version, version);
});

Deno.test("PatternTree.add files a value once under a pattern, and remove takes it away at once", () => {
  const tree = new PatternTree<string>();
  tree.add("a/**", "x");
  tree.add("a/**", "x");
  tree.remove("a/**", "x");
  assertEquals(tree.matching("a/b"), []);
});
