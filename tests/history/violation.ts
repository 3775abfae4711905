/**
 * What a checker complains about.
 *
 * @module
 */

/** The promises that are checked. */
export const VERDICTS = {
  V1: "nothing acknowledged is lost",
  V2: "nothing is read that was not sent",
  V3: "an id has one payload, and there are no holes",
  V4: "what is acknowledged before another one is sent has the smaller id",
  V5: "what a client publishes in turn is in this order",
  V6: "a reader gets rising ids, and is told what it misses",
  V7: "retries with one key are one message",
  V8: "a plain pull gives a message at most once",
  V9: "a message has one lease, and a key one message",
  V10: "what is not acknowledged is handed out again, with the next attempt",
  V11: "what is acknowledged is not handed out again",
  V12: "what is said to be synced was, between call and answer",
  V13: "when nothing is broken any more, everything goes on",
} as const;

/** One of them. */
export type Verdict = keyof typeof VERDICTS;

/** A promise that was broken. */
export interface Violation {
  readonly verdict: Verdict;
  /** The lines of the history that show it. */
  readonly lines: readonly number[];
  /** How, for people. */
  readonly message: string;
}
