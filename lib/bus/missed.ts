/**
 * What the pullers of a group have missed and nobody was told of.
 *
 * @module
 */

import type { Gap, GapReason } from "../event.ts";

const SEVERITY: readonly GapReason[] = ["expired", "dropped", "damaged"];

/** The gaps of a group, each told to one puller. */
export class MissedGaps {
  readonly #gaps: Gap[] = [];

  /** Takes note of one that stays for itself, whatever is missed after it. */
  add(gap: Gap): void {
    this.#gaps.push(gap);
  }

  /** Takes note of what the cursor has skipped, after everything noted before. */
  skip(gap: Gap): void {
    const last = this.#gaps.at(-1);
    if (last === undefined || last.to !== gap.from! - 1 || last.reason === "reset") this.#gaps.push(gap);
    // Nothing of it has been told, so it is one.
    else this.#gaps[this.#gaps.length - 1] = { ...gap, from: last.from, reason: worse(last.reason, gap.reason) };
  }

  /** Takes back what {@linkcode MissedGaps.tell} gave last: nobody was told. */
  untell(gap: Gap): void {
    this.#gaps.unshift(gap);
  }

  /** The oldest, which is told with that; `undefined` if there is none. */
  tell(): Gap | undefined {
    return this.#gaps.length === 0 ? undefined : this.#gaps.shift();
  }
}

/** The reason of two gaps that are told as one. */
function worse(a: GapReason, b: GapReason): GapReason {
  return SEVERITY.indexOf(a) > SEVERITY.indexOf(b) ? a : b;
}
