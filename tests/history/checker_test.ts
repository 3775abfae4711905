/**
 * The checker, tested by mistakes: a simulated bus makes each of them in turn, and the verdict that is to find it does.
 * Without a mistake there is no complaint. `deno task test:history` simulates a million calls; `SEED=…` replays.
 *
 * @module
 */

import { assert, assertEquals } from "../deps.ts";
import { assertClean, check } from "./checker.ts";
import { type Entry, History, parseHistory, type Settings } from "./history.ts";
import { type Bug, BUGS } from "./simulated_bus.ts";
import { simulate, type SimulationOptions } from "./simulation.ts";

const SEED = numberOf("seed", 1);
const CALLS = numberOf("calls", 60_000);
const CALLS_A_HISTORY = 10_000;
/** Some mistakes show only if a crash comes at the right moment. */
const MOST_SEEDS = 10;

/** A number given as `--name=…`. */
function numberOf(name: string, otherwise: number): number {
  const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  return given === undefined || given === "" ? otherwise : Number(given);
}

/** The setup in which a mistake can show. */
function setupOf(bug: Bug): Partial<SimulationOptions> {
  if (bug === "forgets everything, and keeps its epochs") return { durable: false };
  if (bug === "does not announce a gap") return { maxMessages: 200 };
  return {};
}

for (const [bug, verdict] of Object.entries(BUGS) as [Bug, string][]) {
  Deno.test(`check: ${verdict} finds a bus that ${bug}`, () => {
    const found = new Set<string>();
    for (let seed = SEED; seed < SEED + MOST_SEEDS && !found.has(verdict); seed++) {
      const lines = simulate({ seed, calls: CALLS_A_HISTORY, bug, ...setupOf(bug) });
      for (const violation of check(lines)) {
        assert(violation.lines.every((line) => lines[line - 1]?.line === line));
        found.add(violation.verdict);
      }
    }
    assert(found.has(verdict), `${bug}: ${[...found].join(" ") || "nothing"} instead of ${verdict}`);
  });
}

const SETUPS: Record<string, Partial<SimulationOptions>> = {
  "that keeps everything": {},
  "that keeps 200 messages of a topic": { maxMessages: 200 },
  "that forgets at a restart": { durable: false },
  "that forgets at a restart and keeps 200 messages of a topic": { durable: false, maxMessages: 200 },
};

for (const [name, setup] of Object.entries(SETUPS)) {
  Deno.test(`check: has nothing against a bus ${name}`, () => {
    const histories = Math.ceil(CALLS / CALLS_A_HISTORY / Object.keys(SETUPS).length);
    for (let seed = SEED; seed < SEED + histories; seed++) {
      const options = { seed, calls: CALLS_A_HISTORY, ...setup };
      try {
        assertClean(simulate(options));
      } catch (error) {
        throw new Error(`SEED=${seed}: ${(error as Error).message}`);
      }
    }
  });
}

Deno.test("simulate: gives the same history for the same seed", () => {
  const options = { seed: SEED, calls: 2000 };
  assertEquals(simulate(options), simulate(options));
});

const SETTINGS: Settings = {
  durable: true,
  ttlMs: 0,
  maxMessages: 0,
  maxAttempts: 5,
  dedupeWindowMs: 120_000,
  clockErrorMs: 50,
};

/** The violations of a history of these lines. */
function complaints(...entries: Partial<Entry>[]): string[] {
  using history = new History(SETTINGS);
  for (const entry of entries) {
    history.write({ t0: 0, client: "c", op: "publish", outcome: "ok", topic: "t", epoch: "e", ...entry });
  }
  return check(history.lines).map(({ verdict }) => verdict);
}

/** A publish and its answer. */
function published(id: number, t0: number, more: Partial<Entry> = {}): Partial<Entry>[] {
  const line = { t0, sha: `${id}`, ...more };
  return [{ ...line, outcome: "called" }, { ...line, id, t1: t0 + 1 }];
}

/** A lease and its answer. */
function leased(t0: number, more: Partial<Entry>): Partial<Entry>[] {
  const line: Partial<Entry> = { t0, op: "lease", group: "g", leaseMs: 1000 };
  return [{ ...line, outcome: "called" }, { ...line, id: 0, sha: "0", t1: t0 + 1, ...more }];
}

Deno.test("check: what nobody answered may have happened", () => {
  const ack: Partial<Entry> = { t0: 20, op: "ack", lease: "x", outcome: "called" };
  const lease = leased(10, { lease: "x", attempt: 1 });
  assertEquals(complaints(...published(0, 1), ...lease, ack, { ...ack, outcome: "unknown", t1: 30 }), []);
  const again = leased(50, { lease: "y", attempt: 2 });
  // Whether the ack counted or not, both leases can't.
  assertEquals(complaints(...published(0, 1), ...lease, ...again), ["V9"]);
  assertEquals(complaints(...published(0, 1), ...lease, ack, ...again), []);
});

Deno.test("check: an answer to an ack of a lease that was given to another is found without a clock", () => {
  const first = leased(10, { lease: "x", attempt: 1 });
  const second = leased(2000, { lease: "y", attempt: 2 });
  const ack: Partial<Entry> = { t0: 2001, t1: 5000, op: "ack", lease: "x" };
  assertEquals(complaints(...published(0, 1), ...first, ...second, ack), ["V11"]);
  assertEquals(complaints(...published(0, 1), ...first, ...second, { ...ack, outcome: "gone" }), []);
});

Deno.test("check: a server that was told to end gives leases until it has, and they end with it", () => {
  const restart = { t0: 5, client: "server", op: "restart", reason: "stop" } as const;
  const stop: Partial<Entry>[] = [{ ...restart, outcome: "called" }, { ...restart, t1: 40 }];
  const leases = [...leased(10, { lease: "x", attempt: 1 }), ...leased(50, { lease: "y", attempt: 2 })];
  assertEquals(complaints(...published(0, 1), ...stop, ...leases), []);
  assertEquals(complaints(...published(0, 1), ...leases), ["V9"]);
});

Deno.test("check: a group that skips a message that it never handed out is found at the end", () => {
  const drained = [0, 1].map((id): Partial<Entry> => ({ t0: 90, t1: 91, op: "drain", id, sha: `${id}` }));
  const end: Partial<Entry> = { t0: 90, t1: 91, op: "drain", outcome: "end" };
  const lines = [...published(0, 1), ...published(1, 2), ...drained, end];
  const got = leased(20, { lease: "x", attempt: 1, id: 1, sha: "1" });
  assertEquals(complaints(...lines, ...got, { ...end, group: "g" }), ["V10"]);
});

Deno.test("check: the outcome of a publish that is retried counts once", () => {
  const retried = { sha: "0", idempotencyKey: "k" };
  const first: Partial<Entry> = { ...retried, t0: 1, outcome: "called" };
  const second: Partial<Entry> = { ...retried, t0: 10, outcome: "called" };
  const given = { ...retried, t0: 10, t1: 11, outcome: "duplicate" } as const;
  assertEquals(complaints(first, { ...first, outcome: "unknown", t1: 5 }, second, { ...given, id: 0 }), []);
  assertEquals(complaints(first, { ...first, outcome: "ok", t1: 5, id: 0 }, second, { ...given, id: 1 }), ["V7"]);
});

Deno.test("parseHistory: reads back what a history wrote, but for a line that was cut off", async () => {
  const file = await Deno.makeTempFile();
  try {
    const history = new History(SETTINGS, file);
    history.write({ t0: 1, t1: 2, client: "c", op: "publish", outcome: "ok", topic: "t", id: 0, sha: "ü" });
    history[Symbol.dispose]();
    const text = await Deno.readTextFile(file);
    assertEquals(parseHistory(text), history.lines);
    assertEquals(parseHistory(text.slice(0, -1)), history.lines.slice(0, 1));
  } finally {
    await Deno.remove(file);
  }
});
