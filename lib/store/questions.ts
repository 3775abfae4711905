/**
 * What the journal is asked beside changes, reads and copies, until it has answered.
 *
 * @module
 */

import type { JournalQuestion, NumberedAnswer } from "./journal_service.ts";

/**
 * How many reads of several messages the journal may be asked for at a time: who publishes waits for those. On this thread
 * each takes its time from the turn of the event loop, and is answered in it.
 */
const MAX_READS = { here: 1, worker: 4 };

/** Who is asked. */
export interface Asked {
  /** Whether the journal is on this thread. */
  readonly isHere: boolean;
  /** Asks; the answer may come before this returns. */
  ask(question: JournalQuestion): void;
}

/** The questions that are not answered yet, and the reads whose turn has not come. */
export class Questions {
  readonly #journal: Asked;
  readonly #open = new Map<number, PromiseWithResolvers<never>>();
  #asked = 0;
  /** How many reads have their turn. */
  #reading = 0;
  readonly #readsToCome: (() => void)[] = [];

  /** Begins with none. */
  constructor(journal: Asked) {
    this.#journal = journal;
  }

  /** Whether the journal owes no answer. */
  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** Asks what is made of the number of the question. */
  ask<A extends NumberedAnswer>(questionOf: (ask: number) => JournalQuestion): Promise<A> {
    const ask = this.#asked++;
    const question = Promise.withResolvers<never>();
    this.#open.set(ask, question);
    this.#journal.ask(questionOf(ask));
    return question.promise;
  }

  /** Takes an answer. */
  answered(answer: NumberedAnswer): void {
    this.#open.get(answer.ask)?.resolve(answer as never);
    this.#open.delete(answer.ask);
  }

  /** Gives up all that is not answered. */
  rejectAll(error: unknown): void {
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }

  /** Reads in turn: when few enough others do. */
  async inTurn<T>(read: () => Promise<T>): Promise<T> {
    const most = this.#journal.isHere ? MAX_READS.here : MAX_READS.worker;
    if (this.#reading >= most) await new Promise<void>((resolve) => this.#readsToCome.push(resolve));
    else this.#reading++;
    try {
      return await read();
    } finally {
      const next = this.#readsToCome.shift();
      if (next === undefined) this.#reading--;
      // Not in this turn: a journal that is on this thread has answered at once, and others have their turn, too.
      else setImmediate(next);
    }
  }
}
