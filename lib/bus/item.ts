/**
 * What a group knows of one message that it is not done with.
 *
 * @module
 */

import type { Message } from "../message.ts";
import type { LeaseHolder } from "./answers.ts";
import type { Group } from "./group.ts";
import type { HeapEntry } from "./heap.ts";

/** Why a message becomes a dead letter whose lease has ended. */
export const LEASE_EXPIRED = "lease expired";

/**
 * What a message is to its group until it is done.
 *
 * - `leased`: handed out, until its lease ends.
 * - `waiting`: handed back, until its delay is over.
 * - `ready`: to be handed out again, before anything new.
 * - `blocked`: passed over, because another message of its key isn't done.
 * - `dying`: about to be a dead letter.
 */
export type ItemState = "leased" | "waiting" | "ready" | "blocked" | "dying";

/** A message that a group has handed out, or passed over, and is not done with. */
export class Item {
  /** Whose it is. */
  readonly group: Group;
  /** The id of the message. */
  readonly id: number;
  /** Its key. */
  readonly key: string | undefined;
  /** What it is now. */
  state: ItemState = "blocked";
  /** How often it was handed out, as far as that counts. */
  attempt = 0;
  /** The token of its last lease, as long as that can be settled. */
  token: string | undefined;
  /** Who was given its last lease, if that wants to know. */
  holder: LeaseHolder | undefined;
  /** How long its last lease was to last, in milliseconds. */
  leaseMs = 0;
  /** Whether the message has left the log; then it is only here until its lease ends. */
  lost = false;
  /** Why it is to be a dead letter, once it is. */
  reason: string = LEASE_EXPIRED;
  /** Its place among what is due, what is ready, or what waits for its key. */
  place: HeapEntry<Item> | undefined;

  /** Makes one that is in no place yet. */
  constructor(group: Group, { id, key }: Pick<Message, "id"> & { readonly key?: string | undefined }) {
    this.group = group;
    this.id = id;
    this.key = key;
  }
}

/** How a message is leased. */
export interface Lease {
  /** When it is leased, in milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** For how long, in milliseconds. */
  readonly leaseMs: number;
  /** Who has it, if that wants to know. */
  readonly holder?: LeaseHolder | undefined;
}

/** How a message is handed back. */
export interface NackRequest {
  /** When, in milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** When it may be handed out again. */
  readonly dueMs: number;
  /** Why. */
  readonly reason: string;
  /** Whether the attempt counts. */
  readonly counts: boolean;
}
