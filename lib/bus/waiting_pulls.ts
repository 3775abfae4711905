/**
 * Pulls that wait for a message, in the order in which they came.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { GroupName } from "./answers.ts";
import type { Clock } from "./clock.ts";

/** How long a pull waits. */
export interface WaitOptions {
  /** At most so many milliseconds. */
  readonly waitMs: number;
  /** Ends the wait when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Told when the wait ends, however it does. */
  readonly onEnd?: () => void;
}

interface WaitingPull {
  /** Takes what there is and ends the wait with it, or with what that throws. Returns whether it ended. */
  serve(): boolean;
  /** Ends the wait with an error. */
  giveUp(reason: unknown): void;
}

/** Keeps the pulls that wait, by the canonical name of the topic and that of the group: they may come before these do. */
export class WaitingPulls {
  readonly #clock: Clock;
  readonly #byTopic = new Map<string, Map<string, Set<WaitingPull>>>();

  /** Makes an empty one. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a pull of a topic waits, whatever its group. */
  has(topic: string): boolean {
    return this.#byTopic.size > 0 && this.#byTopic.has(topic);
  }

  /** How many pulls of a group of a topic wait. */
  countOf({ topic, group }: GroupName): number {
    return this.#byTopic.size === 0 ? 0 : this.#byTopic.get(topic)?.get(group)?.size ?? 0;
  }

  /**
   * Waits until `take` gives something, and resolves to that; to `undefined` when time is up. Rejects with the signal's
   * reason if it aborts, with `draining` if the bus drains.
   */
  wait<T>(
    awaited: GroupName,
    take: () => T | undefined,
    { waitMs, signal, onEnd }: WaitOptions,
  ): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    // All at once: what is taken for a pull that has left already would be lost.
    const leave = () => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
      this.#remove(awaited, pull);
      onEnd?.();
    };
    const pull: WaitingPull = {
      serve() {
        let taken: T | undefined;
        try {
          taken = take();
        } catch (error) {
          pull.giveUp(error);
          return true;
        }
        if (taken === undefined) return false;
        leave();
        resolve(taken);
        return true;
      },
      giveUp(reason) {
        leave();
        reject(reason);
      },
    };
    const onAbort = () => pull.giveUp(signal!.reason);
    const cancel = this.#clock.schedule(() => {
      leave();
      resolve(undefined);
    }, waitMs);
    this.#add(awaited, pull);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Serves those who wait for a topic, group by group, as far as there is something. */
  serve(topic: string): void {
    for (const group of [...this.#byTopic.get(topic)?.keys() ?? []]) this.serveGroup({ topic, group });
  }

  /** Serves those who wait for a group of a topic, as far as there is something. */
  serveGroup({ topic, group }: GroupName): void {
    for (const pull of this.#byTopic.get(topic)?.get(group) ?? []) if (!pull.serve()) return;
  }

  /** Ends the waiting for a group of a topic with an error. */
  giveUpGroup({ topic, group }: GroupName, reason: unknown): void {
    for (const pull of [...this.#byTopic.get(topic)?.get(group) ?? []]) pull.giveUp(reason);
  }

  /** Gives all who wait for a topic what there is for them, whether or not there was something for those before. */
  serveAll(topic: string): void {
    for (const pulls of this.#byTopic.get(topic)?.values() ?? []) for (const pull of pulls) pull.serve();
  }

  /** Ends all waiting. */
  giveUp(): void {
    const reason = new BusError("draining", "Cannot wait for a message: the bus is shutting down");
    const all = [...this.#byTopic.values()].flatMap((groups) => [...groups.values()].flatMap((pulls) => [...pulls]));
    for (const pull of all) pull.giveUp(reason);
  }

  #add({ topic, group }: GroupName, pull: WaitingPull): void {
    let groups = this.#byTopic.get(topic);
    if (groups === undefined) this.#byTopic.set(topic, groups = new Map());
    const pulls = groups.get(group);
    if (pulls === undefined) groups.set(group, new Set([pull]));
    else pulls.add(pull);
  }

  #remove({ topic, group }: GroupName, pull: WaitingPull): void {
    const groups = this.#byTopic.get(topic);
    const pulls = groups?.get(group);
    if (!pulls?.delete(pull) || pulls.size > 0) return;
    groups!.delete(group);
    if (groups!.size === 0) this.#byTopic.delete(topic);
  }
}
