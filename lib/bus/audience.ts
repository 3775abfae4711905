/**
 * The audience of a topic: who is told of new messages, and from which on.
 *
 * @module
 */

/** What the fan-out keeps with a topic, so that it needn't look for that at each message. A topic needn't know who listens. */
export class Audience<Listener = unknown> {
  /** Who listens, as of {@linkcode Audience.version}. */
  listeners: readonly ReadonlySet<Listener>[] = [];
  /** The version of the fan-out's tree in which they were found. */
  version = -1;
  #newFrom: number | undefined;
  #newFromMs = 0;

  /** When the first message was created that they haven't heard of, by now it may be gone; `Infinity` if there is none. */
  get unheardMs(): number {
    return this.#newFrom === undefined ? Infinity : this.#newFromMs;
  }

  /** There is a new message, created at `createdMs`. Returns whether they had heard of all before it. */
  note(id: number, createdMs: number): boolean {
    if (this.#newFrom !== undefined) return false;
    this.#newFrom = id;
    this.#newFromMs = createdMs;
    return true;
  }

  /** The first message that they haven't heard of; there is one, and they hear of it now. */
  hear(): { readonly from: number; readonly createdMs: number } {
    const from = this.#newFrom!;
    this.#newFrom = undefined;
    return { from, createdMs: this.#newFromMs };
  }
}
