import { assert, assertEquals, fc } from "../deps.ts";
import { settled } from "../http/direct.ts";
import { directBus, type Fate } from "./direct_bus.ts";

const MESSAGES = 12;
/** What becomes of a request, most often nothing bad. */
const fates = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant<Fate>(undefined) },
    { weight: 1, arbitrary: fc.constantFrom<Fate>("away", "lost", "silent") },
  ),
  { maxLength: 60 },
);
/** How long each message takes, in milliseconds, and how often it fails before that. */
const jobs = fc.array(fc.record({ tookMs: fc.nat({ max: 25_000 }), failures: fc.nat({ max: 2 }) }), {
  minLength: MESSAGES,
  maxLength: MESSAGES,
});

Deno.test("Client.work does each message, whatever becomes of its requests, and none twice at a time unless it says so", async () => {
  await fc.assert(
    fc.asyncProperty(fates, jobs, fc.integer({ min: 1, max: 4 }), async (script, jobs, parallel) => {
      await using direct = directBus({ maxAttempts: 0 });
      const { bus, client, clock } = direct;
      for (let id = 0; id < MESSAGES; id++) bus.put("t", `${id}`, id % 3 === 0 ? { key: "k" } : {});
      direct.fate = () => script.shift();
      const done = new Set<number>();
      const wrong: string[] = [];
      const failures = new Map<number, number>();
      /** The handlers that run and have not been told that they may not be alone. */
      const alone = new Map<number, AbortSignal>();
      const keyed = () => [...alone].filter(([id, signal]) => id % 3 === 0 && !signal.aborted).length;
      const worker = client.work(
        "t",
        { ...direct.world, group: "g", leaseMs: 9_000, parallel },
        async ({ id }, { signal }) => {
          const other = alone.get(id);
          if (other?.aborted === false) wrong.push(`${id} runs twice`);
          alone.set(id, signal);
          if (alone.size > parallel || keyed() > 1) wrong.push(`together: ${[...alone.keys()]}`);
          await new Promise<void>((resolve) => clock.schedule(resolve, jobs[id]!.tookMs));
          if (alone.get(id) === signal) alone.delete(id);
          const failed = failures.get(id) ?? 0;
          failures.set(id, failed + 1);
          if (failed < jobs[id]!.failures) throw new Error("once more");
          done.add(id);
        },
      );
      const group = () => bus.groups("t").find((group) => group.group === "g");
      for (let turns = 0; group()?.acked !== MESSAGES; turns++) {
        assert(turns < 5_000, `never done: ${JSON.stringify(group())}`);
        clock.tick(1_000);
        await settled();
      }
      let isOver = false;
      const drained = worker.drain().then(() => isOver = true);
      while (!isOver) {
        clock.tick(1_000);
        await settled();
      }
      await drained;
      assertEquals(wrong, []);
      assertEquals([done.size, alone.size, group()!.lag, group()!.leased], [MESSAGES, 0, 0, 0]);
    }),
    { numRuns: 20 },
  );
});
