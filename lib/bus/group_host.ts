/**
 * What a group needs of its bus, and how it begins.
 *
 * @module
 */

import type { Group } from "./group.ts";
import type { Item } from "./item.ts";

/** What a group needs of its bus. */
export interface GroupHost {
  /** How many messages a group may have handed out or passed over and not be done with. */
  readonly maxLeased: number;
  /** Gives a lease its token. */
  issue(item: Item): string;
  /** Ends what the token of an item could do. */
  revoke(token: string): void;
  /**
   * Makes a dead letter of a message, which may be about to leave its log; ends in {@linkcode Group.finish} or
   * {@linkcode Group.retry}, later.
   */
  bury(item: Item): void;
  /** A message is to be handed out again: those who wait could have it. */
  wake(group: Group): void;
  /** A lease or a delay ends, maybe before all others. */
  watch(group: Group): void;
  /** How far the machine's clock, by which the store knows times, is ahead of that of the bus, in milliseconds. */
  skewMs(): number;
}

/** How a group begins. */
export interface GroupInit {
  /** The id of the message that it wants first. */
  readonly next: number;
  /** When that is, in milliseconds since the Unix epoch. */
  readonly usedMs: number;
  /** See {@linkcode Group.maxAttempts}. */
  readonly maxAttempts: number;
  /** Whether the store doesn't know of it and is to be told. */
  readonly isNew: boolean;
}
