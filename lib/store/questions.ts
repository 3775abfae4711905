/**
 * What the journal is asked beside changes, reads and copies, until it has answered.
 *
 * @module
 */

import type { JournalQuestion, NumberedAnswer } from "./journal_service.ts";

/** How many reads of several messages the journal may be asked for at a time: who publishes waits for those. */
const MAX_READS = 4;

/** The questions that are not answered yet, and the reads whose turn has not come. */
export class Questions {
  readonly #send: (question: JournalQuestion) => void;
  readonly #open = new Map<number, PromiseWithResolvers<never>>();
  #asked = 0;
  /** How many reads have their turn. */
  #reading = 0;
  readonly #readsToCome: (() => void)[] = [];

  /** Begins with none; `send` asks the journal. */
  constructor(send: (question: JournalQuestion) => void) {
    this.#send = send;
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
    this.#send(questionOf(ask));
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
    if (this.#reading >= MAX_READS) await new Promise<void>((resolve) => this.#readsToCome.push(resolve));
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
