/**
 * Judges a history: every verdict is a pure function of it, in O(n log n). The checker never asks a server; what nobody
 * answered may or may not have happened.
 *
 * @module
 */

import { acked, atMostOnce, leases, redelivery } from "./group_verdicts.ts";
import type { Line } from "./history.ts";
import { IndexedHistory } from "./indexed.ts";
import { duplicates, ids, lost, phantom, producerOrder, readerOrder, realTime } from "./log_verdicts.ts";
import { durability, liveness } from "./server_verdicts.ts";
import { type Verdict, VERDICTS, type Violation } from "./violation.ts";

/** Every verdict and how it is found. */
const CHECKS: Record<Verdict, (history: IndexedHistory) => Iterable<Violation>> = {
  V1: lost,
  V2: phantom,
  V3: ids,
  V4: realTime,
  V5: producerOrder,
  V6: readerOrder,
  V7: duplicates,
  V8: atMostOnce,
  V9: leases,
  V10: redelivery,
  V11: acked,
  V12: durability,
  V13: liveness,
};

/** Everything that a history breaks, at most 20 violations a verdict. */
export function check(lines: readonly Line[]): Violation[] {
  const history = new IndexedHistory(lines);
  return Object.values(CHECKS).flatMap((find) => [...Iterator.from(find(history)).take(20)]);
}

/** Throws an `Error` that tells of the first violations of each promise with their lines, if there is one. */
export function assertClean(lines: readonly Line[]): void {
  const violations = check(lines);
  if (violations.length === 0) return;
  const reports = Map.groupBy(violations, ({ verdict }) => verdict).values().flatMap((all) => [
    ...all.slice(0, 3).map((violation) => report(violation, lines)),
    ...all.length > 3 ? [`and ${all.length - 3} more of ${all[0]!.verdict}`] : [],
  ]);
  throw new Error([...reports].join("\n"));
}

/** A violation for people, with the lines that show it. */
export function report({ verdict, message, lines: numbers }: Violation, lines: readonly Line[]): string {
  const shown = numbers.map((number) => `  ${number}: ${JSON.stringify({ ...lines[number - 1], line: undefined })}`);
  return [`${verdict}, ${VERDICTS[verdict]}: ${message}`, ...shown].join("\n");
}
