/**
 * Where a journal is kept: on this thread, which waits for the disk with each commit then, or in a worker.
 *
 * @module
 */

import type { OpenDatabase } from "./journal_file.ts";
import { JOURNAL_WORKER, type JournalAnswer, type JournalQuestion, JournalService } from "./journal_service.ts";

/** Who is told what a journal answers. */
export interface JournalListener {
  /** An answer. */
  answered(answer: JournalAnswer): void;
  /** Something went wrong that has no answer: it must be taken for dead. */
  died(message: string): void;
}

/** A journal, wherever it is kept. */
export interface JournalPort {
  /** Whether this thread waits for the disk. */
  readonly isHere: boolean;
  /** Asks; if the journal is here, the answer is given before this returns, but that to a backup. */
  ask(question: JournalQuestion, transfer: Transferable[]): void;
  /** Lets go of it. It must have been asked to close, or is left as it is. */
  end(): void;
}

/** A journal on this thread. */
export class HerePort implements JournalPort {
  readonly isHere = true;
  readonly #listener: JournalListener;
  readonly #service: JournalService;

  /** Makes one that is asked to open first; `open` is another way to open the database. */
  constructor(listener: JournalListener, open?: OpenDatabase) {
    this.#listener = listener;
    this.#service = new JournalService((answer) => this.#listener.answered(answer), open);
  }

  ask(question: JournalQuestion): void {
    this.#service.ask(question);
  }

  end(): void {
    this.#service.end();
  }
}

/** A journal in a worker. */
export class WorkerPort implements JournalPort {
  readonly isHere = false;
  readonly #worker: Worker;

  /** Starts the worker, which runs this module; it is asked to open first. */
  constructor(url: string | URL, listener: JournalListener) {
    this.#worker = new Worker(url, { type: "module", name: JOURNAL_WORKER });
    this.#worker.onmessage = ({ data }: MessageEvent<JournalAnswer>) => listener.answered(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      listener.died(event.message);
    };
  }

  ask(question: JournalQuestion, transfer: Transferable[]): void {
    this.#worker.postMessage(question, transfer);
  }

  end(): void {
    this.#worker.terminate();
  }
}
