import { Damage } from "../../lib/bus/damage.ts";
import { assertEquals, fc } from "../deps.ts";

Deno.test("Damage tells where damaged messages are, in whatever order they were found", () => {
  const probe = fc.tuple(fc.nat(42), fc.nat(42)).filter(([from, end]) => from < end);
  const ids = fc.uniqueArray(fc.nat(40), { maxLength: 30 });
  fc.assert(
    fc.property(ids, fc.array(probe, { minLength: 1 }), (ids, probes) => {
      const damage = new Damage();
      for (const id of ids) damage.add(id, 1000 + 10 * id);
      for (const [from, end] of probes) {
        assertEquals(damage.reaches(from, end), ids.some((id) => id >= from && id < end), `${from} to ${end}`);
      }
      // Ranges are told by their ends: the newest of all that lie before an id that is not damaged.
      for (const [id] of probes.filter(([id]) => !ids.includes(id))) {
        const before = ids.filter((other) => other < id);
        assertEquals(damage.newestMsBefore(id), before.length === 0 ? -Infinity : 1000 + 10 * Math.max(...before));
      }
    }),
    { numRuns: 2000 },
  );
});
