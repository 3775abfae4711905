import { Heap, type HeapEntry } from "../../lib/bus/heap.ts";
import { assertEquals, fc } from "../deps.ts";

const key = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(Infinity, -Infinity, -1, 0.5));
const step = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), key }),
  fc.record({ kind: fc.constant("move" as const), key, at: fc.nat() }),
  fc.record({ kind: fc.constant("remove" as const), at: fc.nat() }),
);

Deno.test("Heap.peek and secondKey are the smallest keys of what was added, moved and not removed", () => {
  fc.assert(fc.property(fc.array(step, { size: "large" }), (steps) => {
    const heap = new Heap<number>();
    const entries: HeapEntry<number>[] = [];
    const keys = new Map<number, number>();
    for (const step of steps) {
      const at = "at" in step && entries.length > 0 ? step.at % entries.length : undefined;
      if (step.kind === "add") {
        keys.set(entries.length, step.key);
        entries.push(heap.add(entries.length, step.key));
      } else if (at !== undefined && step.kind === "move") {
        heap.move(entries[at]!, step.key);
        if (keys.has(at)) keys.set(at, step.key);
      } else if (at !== undefined) {
        heap.remove(entries[at]!);
        keys.delete(at);
      }
      const first = heap.peek();
      assertEquals(heap.size, keys.size);
      assertEquals(first === undefined, keys.size === 0);
      if (first !== undefined) {
        assertEquals(first.key, keys.get(first.value)!);
        assertEquals(first.key, Math.min(...keys.values()));
        const others = [...keys].filter(([value]) => value !== first.value).map(([_, key]) => key);
        assertEquals(heap.secondKey, Math.min(...others));
      }
    }
    const rest: number[] = [];
    for (let first = heap.peek(); first !== undefined; first = heap.peek()) {
      rest.push(first.key);
      heap.remove(first);
    }
    assertEquals(rest, [...keys.values()].sort((a, b) => a < b ? -1 : a > b ? 1 : 0));
  }));
});

Deno.test("Heap.remove and move do nothing to an entry that was removed", () => {
  const heap = new Heap<string>();
  const a = heap.add("a", 1);
  const b = heap.add("b", 2);
  heap.remove(a);
  heap.remove(a);
  heap.move(a, 0);
  assertEquals(heap.size, 1);
  assertEquals(heap.peek(), b);
});

Deno.test("Heap.peek of an empty heap is undefined", () => {
  assertEquals(new Heap().peek(), undefined);
});

Deno.test("Heap.secondKey of fewer than two entries is Infinity", () => {
  const heap = new Heap<string>();
  assertEquals(heap.secondKey, Infinity);
  heap.add("a", 1);
  assertEquals(heap.secondKey, Infinity);
});
