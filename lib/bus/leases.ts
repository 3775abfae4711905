/**
 * The leases that are out, by their tokens: how a message is acknowledged, handed back, or kept for longer.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { canonicalTopicName } from "../topic_name.ts";
import {
  type GroupName,
  MAX_LEASE_MS,
  MIN_LEASE_MS,
  type NackOptions,
  type Settlement,
  type SettleOptions,
} from "./answers.ts";
import type { Clock } from "./clock.ts";
import type { Group } from "./group.ts";
import type { Item } from "./item.ts";
import { Tokens } from "./tokens.ts";

/** What {@linkcode Leases} work with. */
export interface LeasesParts {
  readonly clock: Clock;
  /** Why the store can't be told of a change now, if it can't. */
  readonly refusal: () => BusError | undefined;
  /** Ends what is over in a group, before it is changed. */
  readonly settle: (group: Group, nowMs: number) => void;
  /** Told of each group that was changed, once; settles when the store has learnt of that. */
  readonly note: (group: Group) => void | Promise<void>;
}

const MAX_REASON_LENGTH = 1024;

/** Keeps the leases of all groups. */
export class Leases {
  readonly #parts: LeasesParts;
  readonly #tokens = new Tokens();
  readonly #items = new Map<string, Item>();
  #acked = 0;
  #nacked = 0;

  /** Makes one that has given nothing. */
  constructor(parts: LeasesParts) {
    this.#parts = parts;
  }

  /** How many tokens could be settled now. */
  get size(): number {
    return this.#items.size;
  }

  /** How many leases were acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  /** How many leases were handed back. */
  get nacked(): number {
    return this.#nacked;
  }

  /** Gives a lease its token: nobody can guess it, and no other delivery of the message has the same. */
  issue(item: Item): string {
    const token = this.#tokens.next();
    this.#items.set(token, item);
    return token;
  }

  /** Ends what a token could do. */
  revoke(token: string): void {
    this.#items.delete(token);
  }

  /** See `MessageBus.ack`. */
  ack(tokens: readonly string[], { of }: SettleOptions): Promise<Settlement> {
    return this.#settle(tokens, of, (item) => {
      item.group.ack(item);
      this.#acked++;
    });
  }

  /** See `MessageBus.nack`. */
  nack(
    tokens: readonly string[],
    { delayMs = 0, reason = "rejected", count = true, of }: NackOptions,
  ): Promise<Settlement> {
    if (!(delayMs >= 0 && delayMs <= MAX_LEASE_MS)) {
      throw new BusError("bad_option", `Bad delay: ${delayMs} ms, not from 0 to ${MAX_LEASE_MS}`);
    }
    const kept = reason.slice(0, MAX_REASON_LENGTH).toWellFormed();
    return this.#settle(tokens, of, (item, nowMs) => {
      item.group.nack(item, { nowMs, dueMs: nowMs + delayMs, reason: kept, counts: count });
      this.#nacked++;
    });
  }

  /** See `MessageBus.extend`. */
  extend(tokens: readonly string[], leaseMs: number | undefined, { of }: SettleOptions): Promise<Settlement> {
    if (leaseMs !== undefined) assertLease(leaseMs);
    return this.#settle(tokens, of, (item, nowMs) => {
      item.group.extend(item, { nowMs, leaseMs: leaseMs ?? item.leaseMs });
    });
  }

  /** Changes everything at once; only the answer waits for the store. */
  #settle(
    tokens: readonly string[],
    of: GroupName | undefined,
    change: (item: Item, nowMs: number) => void,
  ): Promise<Settlement> {
    const refusal = this.#parts.refusal();
    // Before anything has changed, which can't be taken back.
    if (refusal !== undefined && tokens.some((token) => this.#items.has(token))) throw refusal;
    const isMeant = of === undefined ? () => true : membership(of);
    const nowMs = this.#parts.clock.now();
    const done: string[] = [];
    const unknown: string[] = [];
    const groups = new Set<Group>();
    for (const token of new Set(tokens)) {
      const group = this.#items.get(token)?.group;
      if (group !== undefined && !isMeant(group)) {
        unknown.push(token);
        continue;
      }
      if (group !== undefined && !groups.has(group)) {
        groups.add(group);
        group.usedMs = group.topic.usedMs = nowMs;
        this.#parts.settle(group, nowMs);
      }
      // Its last attempt may have been over.
      const item = this.#items.get(token);
      if (item === undefined) unknown.push(token);
      else {
        change(item, nowMs);
        done.push(token);
      }
    }
    const settlement = { done, unknown };
    const noted = [...groups].map((group) => this.#note(group)).filter((answer) => answer !== undefined);
    return noted.length === 0 ? Promise.resolve(settlement) : Promise.all(noted).then(() => settlement);
  }

  /** The groups have changed: whatever the store says of one of them at once, it is told of the others, too. */
  #note(group: Group): void | Promise<void> {
    try {
      return this.#parts.note(group);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

/** Whether a group is the one of this name. */
function membership({ topic, group }: GroupName): (candidate: Group) => boolean {
  const canonical = canonicalTopicName(topic);
  return ({ name, topic: { info } }) => name === group && info.name === canonical;
}

/**
 * Checks how long a lease is to last.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertLease(leaseMs: number): void {
  if (leaseMs >= MIN_LEASE_MS && leaseMs <= MAX_LEASE_MS) return;
  throw new BusError("bad_option", `Bad lease: ${leaseMs} ms, not from ${MIN_LEASE_MS} to ${MAX_LEASE_MS}`);
}
