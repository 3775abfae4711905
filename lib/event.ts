/**
 * What a subscription tells its reader besides messages.
 *
 * @module
 */

/**
 * Why messages are missing: their time to live passed (`expired`), a limit dropped at least one of them (`dropped`), at
 * least one of them was damaged where it was kept (`damaged`), or the position belonged to another log than the topic has
 * now (`reset`).
 */
export type GapReason = "expired" | "dropped" | "damaged" | "reset";

/** Messages of a topic that a reader wanted and cannot get any more. */
export interface Gap {
  /** The canonical name of the topic; on several topics, how they were asked for (`orders/*,audit`) if it may be any. */
  readonly topic: string;
  /** The first id missed; `null` if that can't be known: after a `reset`, and if a time was asked for. */
  readonly from: number | null;
  /** The last id missed; `null` if none of the topic as it is now is. */
  readonly to: number | null;
  /** Why. */
  readonly reason: GapReason;
}

/**
 * An event between messages, in the place where it belongs. Every event has the position after it, which resumes the
 * subscription: `<n>@<epoch>`, or a time, `T…`, on several topics.
 *
 * - `gap`: messages are missing here.
 * - `caught-up`: everything that was retained at the beginning has been given; what follows is new.
 * - `deleted`: a topic was deleted. A subscription to this one topic ends with it.
 * - `bye`: the server is shutting down; the subscription ends.
 */
export type ControlEvent =
  | ({ readonly event: "gap"; readonly cursor: string } & Gap)
  | { readonly event: "caught-up"; readonly cursor: string }
  | { readonly event: "deleted"; readonly cursor: string; readonly topic: string }
  | { readonly event: "bye"; readonly cursor: string };
