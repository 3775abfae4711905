import { assertEquals } from "../deps.ts";
import { formatCount } from "../../lib/wire/count.ts";

Deno.test("formatCount says one of a thing in the singular", () => {
  assertEquals([0, 1, 2].map((count) => formatCount(count, "topic")), ["0 topics", "1 topic", "2 topics"]);
});
