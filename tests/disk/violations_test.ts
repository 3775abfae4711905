import { assertEquals } from "../deps.ts";
import { type Publish, violations } from "./durable_daemon.ts";

function publishOf(payload: string, status: number | undefined, id?: number): Publish {
  return { payload, status, id, retryAfter: null, error: null };
}

const SENT = [publishOf("a", 202, 0), publishOf("b", 507), publishOf("c", undefined), publishOf("d", 202, 1)];

Deno.test("violations finds none where all is well, whatever became of what nobody answered", () => {
  assertEquals(violations(new Map([[0, "a"], [1, "d"]]), SENT), []);
  assertEquals(violations(new Map([[0, "a"], [1, "d"], [2, "c"]]), SENT), []);
});

Deno.test("violations finds what is lost, renumbered, twice, refused and there, never sent, and missing in between", () => {
  const kinds = (...payloads: string[]) =>
    violations(new Map(payloads.entries()), SENT).map((violation) => violation.split(" ")[0]);
  assertEquals(kinds("a"), ["lost:"]);
  assertEquals(kinds("a", "c", "d"), ["lost:"]);
  assertEquals(kinds("a", "d", "c", "c"), ["twice:"]);
  assertEquals(kinds("a", "d", "b"), ["refused"]);
  assertEquals(kinds("a", "d", "e"), ["phantom:"]);
  assertEquals(violations(new Map([[0, "a"], [2, "d"]]), SENT), ["hole: 2 where 1 should be"]);
});
