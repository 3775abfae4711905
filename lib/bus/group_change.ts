/**
 * What has changed in a group and the store was not told of.
 *
 * @module
 */

import type { Group } from "./group.ts";
import { type Item, LEASE_EXPIRED } from "./item.ts";
import type { GroupChange, GroupCounts, UnackedMessage } from "./store.ts";

const NOTHING: readonly never[] = [];

/** Gathers what the store is to be told of a group next. */
export class UntoldChange {
  readonly #group: Group;
  /** Whether there is anything. */
  #moved: boolean;
  /** The cursor as the store was told of it; what was passed over since it doesn't know of. */
  #toldNext: number;
  #unacked: UnackedMessage[] | undefined;
  #done: number[] | undefined;

  /** Begins with a group of which the store knows, or which is new. */
  constructor(group: Group, { isNew }: { readonly isNew: boolean }) {
    this.#group = group;
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
    const notBeforeMs = state === "waiting" ? place!.key : undefined;
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
    (this.#done ??= []).push(id);
  }

  /** That it is done with one message, and nothing else that has changed. */
  only({ id }: Item): GroupChange {
    return { group: this.#group.name, next: this.#toldNext, unacked: NOTHING, done: [id], counts: this.#counts };
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
      if (item === undefined) continue;
      this.#toldNext = Math.min(this.#toldNext, id);
      this.keep(item);
    }
    (this.#done ??= []).push(...done);
  }

  get #counts(): GroupCounts {
    const { acked, dead, lost } = this.#group;
    return { acked, dead, lost };
  }
}
