/**
 * What has changed in a group and the store was not told of.
 *
 * @module
 */

import type { Group } from "./group.ts";
import type { GroupHost } from "./group_host.ts";
import { type Item, LEASE_EXPIRED } from "./item.ts";
import type { GroupChange, GroupCounts, UnackedMessage } from "./store.ts";

const NOTHING: readonly never[] = [];

/** Gathers what the store is to be told of a group next. */
export class UntoldChange {
  readonly #group: Group;
  readonly #host: Pick<GroupHost, "skewMs">;
  /** Whether there is anything. */
  #moved: boolean;
  /** The cursor as the store was told of it; what was passed over since it doesn't know of. */
  #toldNext: number;
  #unacked: UnackedMessage[] | undefined;
  #done: number[] | undefined;
  /** The ids of those of which the store was told, with their dead letters, that they are done; it hasn't answered. */
  readonly #dying = new Set<number>();

  /** Begins with a group of which the store knows, or which is new. */
  constructor(group: Group, host: Pick<GroupHost, "skewMs">, { isNew }: { readonly isNew: boolean }) {
    this.#group = group;
    this.#host = host;
    this.#toldNext = group.next;
    this.#moved = isNew;
  }

  /** Its cursor has moved. */
  move(): void {
    this.#moved = true;
  }

  /** It is not done with a message, which is what its item says now. */
  keep({ id, key, attempt, state, place, reason }: Item): void {
    this.#moved = true;
    const notBeforeMs = state === "waiting" ? place!.key + this.#host.skewMs() : undefined;
    (this.#unacked ??= []).push({
      id,
      attempt,
      notBeforeMs,
      key,
      reason: reason === LEASE_EXPIRED ? undefined : reason,
    });
  }

  /** It is done with a message. */
  finish({ id }: Item): void {
    this.#moved = true;
    this.#dying.delete(id);
    (this.#done ??= []).push(id);
  }

  /** It was done with a message, which the store was not told or has refused, and is not. */
  undo(item: Item): void {
    this.#toldNext = Math.min(this.#toldNext, item.id);
    this.#done = this.#done?.filter((id) => id !== item.id);
    this.keep(item);
  }

  /** That it is done with one message, which becomes a dead letter, and nothing else that was not told. */
  bury({ id }: Item): GroupChange {
    this.#dying.add(id);
    return { group: this.#group.name, next: this.#toldNext, unacked: NOTHING, done: [id], counts: this.#counts };
  }

  /** The store has refused the dead letter of a message. */
  spare(item: Item): void {
    if (this.#dying.delete(item.id)) this.keep(item);
  }

  /** What there is; it counts as told from then on. `undefined` if there is nothing. */
  take(): GroupChange | undefined {
    if (!this.#moved) return undefined;
    const { name: group, next } = this.#group;
    const change = {
      group,
      next,
      unacked: this.#unacked ?? NOTHING,
      done: this.#done ?? NOTHING,
      counts: this.#counts,
    };
    this.#moved = false;
    this.#toldNext = next;
    this.#unacked = this.#done = undefined;
    return change;
  }

  /** Takes back what {@linkcode UntoldChange.take} gave, as it is now: the store has refused it. */
  takeBack({ unacked, done }: GroupChange): void {
    this.#moved = true;
    for (const { id } of unacked) {
      const item = this.#group.items.get(id);
      // Of one that is about to be done nothing must be told after that.
      if (item === undefined || item.lost || this.#dying.has(id)) continue;
      this.#toldNext = Math.min(this.#toldNext, id);
      this.keep(item);
    }
    (this.#done ??= []).push(...done);
  }

  /** Dead letters that the store hasn't answered for count: what it is told later must not take them back. */
  get #counts(): GroupCounts {
    const { acked, dead, lost } = this.#group;
    return { acked, dead: dead + this.#dying.size, lost };
  }
}
