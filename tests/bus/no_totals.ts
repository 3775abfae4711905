/**
 * The totals of a bus in which nothing has happened.
 *
 * @module
 */

import type { BusTotals } from "../../lib/bus/answers.ts";

/** Every count of a bus, at its beginning. */
export const NO_TOTALS: BusTotals = {
  topics: 0,
  messages: 0,
  bytes: 0,
  residentBytes: 0,
  subscriptions: 0,
  published: 0,
  pulled: 0,
  scheduled: 0,
  scheduledBytes: 0,
  duplicates: 0,
  forgottenKeys: 0,
  leased: 0,
  acked: 0,
  nacked: 0,
  redelivered: 0,
  dead: 0,
  redriven: 0,
  delivered: 0,
  expired: 0,
  dropped: 0,
  damaged: 0,
};
