import { MemoryStore } from "../../lib/store/memory.ts";
import { assertEquals } from "../deps.ts";
import { testStore } from "../store_suite.ts";

testStore("MemoryStore", () => new MemoryStore());

Deno.test("MemoryStore promises no more than memory, and answers at once", () => {
  const { durability, synchronous } = new MemoryStore();
  assertEquals({ durability, synchronous }, { durability: "memory", synchronous: true });
});
