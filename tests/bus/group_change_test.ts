import type { Group } from "../../lib/bus/group.ts";
import { UntoldChange } from "../../lib/bus/group_change.ts";
import { assertEquals } from "../deps.ts";

Deno.test("UntoldChange takes back what the store has refused, however much that is", () => {
  const group = { name: "g", next: 0, items: new Map(), acked: 0, dead: 0, lost: 0 } as unknown as Group;
  const untold = new UntoldChange(group, { skewMs: () => 0 }, { isNew: true });
  const change = untold.take()!;
  // More than a call may have arguments.
  const done = Array.from({ length: 200_000 }, (_, id) => id);
  untold.takeBack({ ...change, done });
  assertEquals(untold.take()!.done.length, done.length);
});
