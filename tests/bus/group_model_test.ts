import { limitsOf } from "../../lib/bus/limits.ts";
import type { Store } from "../../lib/bus/store.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { fc } from "../deps.ts";
import { GroupModel } from "./group_model.ts";
import { steps, stepsWithRestarts } from "./group_steps.ts";
import { KeptStore } from "./kept_store.ts";
import { ReadableMemoryStore } from "./readable_store.ts";
import { Subject } from "./group_subject.ts";

const limits = fc.record({
  ttlMs: fc.constantFrom(0, 0, 1000, 2000, 60_000),
  maxMessages: fc.constantFrom(3, 5, 100, 100),
  maxAttempts: fc.constantFrom(0, 1, 2, 2, 3),
  maxLeased: fc.constantFrom(1, 2, 3, 100, 100),
  maxGroups: fc.constantFrom(1, 1000, 1000),
  groupIdleMs: fc.constantFrom(1250, 3550, 1e9, 1e9),
}).map(limitsOf);

/** `--runs=50000 --seed=42` after `--`; a seed replays what it was printed for, with as many runs or more. */
function argument(name: string): number | undefined {
  const given = Deno.args.findLast((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  return given === undefined || given === "" ? undefined : Number(given);
}

async function check(makeStore: () => Store, { maxMemoryBytes, restarts = false }: Setting = {}): Promise<void> {
  const commands = fc.commands([...restarts ? stepsWithRestarts : steps], { maxCommands: 100, size: "max" });
  await fc.assert(
    fc.asyncProperty(limits, commands, async (given, steps) => {
      const limits = limitsOf({ ...given, maxMemoryBytes });
      const subject = new Subject(limits, makeStore());
      const model = new GroupModel(limits, subject.clock.now());
      await fc.asyncModelRun(() => ({ model, real: subject }), steps);
      await subject.drain();
    }),
    { numRuns: argument("runs") ?? 2000, seed: argument("seed") },
  );
}

interface Setting {
  readonly maxMemoryBytes?: number;
  readonly restarts?: boolean;
}

Deno.test("MessageBus does with groups what the model does, and keeps its promises", async () => {
  await check(() => new MemoryStore());
});

Deno.test("MessageBus does with groups what the model does with topics larger than memory, too", async () => {
  await check(() => new ReadableMemoryStore(), { maxMemoryBytes: 3000 });
});

Deno.test("MessageBus does with groups what the model does, and goes on after a restart", async () => {
  await check(() => new KeptStore(), { restarts: true });
});
