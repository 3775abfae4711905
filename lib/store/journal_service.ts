/**
 * The journal as it is asked and answers, in a worker or on the thread that asks.
 *
 * @module
 */

import { BusError, type ErrorCode } from "../errors.ts";
import { Journal } from "./journal.ts";
import { failureOf } from "./journal_file.ts";
import type { JournalContent } from "./loading.ts";
import type { JournalOptions } from "./opening.ts";

/** What a worker is called that keeps a journal. */
export const JOURNAL_WORKER = "msgbus-journal";

/** What is asked of a journal. It answers in the order of the questions, `backup` excepted. */
export type JournalQuestion =
  | { readonly kind: "open"; readonly options: Omit<JournalOptions, "open"> }
  | { readonly kind: "apply"; readonly batch: ArrayBuffer; readonly nowMs: number }
  | { readonly kind: "probe" }
  | {
    readonly kind: "read";
    readonly ask: number;
    readonly topic: number;
    readonly first: number;
    readonly last: number;
  }
  | { readonly kind: "backup"; readonly ask: number; readonly path: string }
  | { readonly kind: "close" };

/** What went wrong, as it is sent. */
export interface JournalFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What it answers. */
export type JournalAnswer =
  | { readonly kind: "opened"; readonly content: JournalContent; readonly lost: string | undefined }
  | { readonly kind: "applied" | "probed" | "closed"; readonly failure: JournalFailure | undefined }
  | {
    readonly kind: "read";
    readonly ask: number;
    readonly buffer: ArrayBuffer;
    readonly damaged: readonly number[];
  }
  | { readonly kind: "copied"; readonly ask: number; readonly failure: JournalFailure | undefined }
  /** Nothing more is done; whatever was asked and not answered is not known to have happened. */
  | { readonly kind: "failed"; readonly failure: JournalFailure };

/** An answer that says which question it answers. */
export type NumberedAnswer = Extract<JournalAnswer, { readonly ask: number }>;

/** The worker's side of the channel. */
interface JournalScope {
  readonly name?: string;
  onmessage: ((event: MessageEvent<JournalQuestion>) => void) | null;
  postMessage(answer: JournalAnswer, transfer?: Transferable[]): void;
}

/** How long it waits before it tidies up, or goes on with that while there is more urgent work, in milliseconds. */
const PAUSE_MS = 50;

/** Whether this is a worker that was started to keep a journal. */
export function isJournalWorker(): boolean {
  return "WorkerGlobalScope" in globalThis && (globalThis as unknown as JournalScope).name === JOURNAL_WORKER;
}

/** Keeps a journal for the side that has started this worker. Call it before anything else happens there. */
export function serveJournal(): void {
  serveJournalWith(undefined);
}

/** The same with another way to open databases. */
export function serveJournalWith(open: JournalOptions["open"]): void {
  const scope = globalThis as unknown as JournalScope;
  const service = new JournalService((answer, transfer) => scope.postMessage(answer, transfer), open);
  scope.onmessage = ({ data }) => service.ask(data);
}

/** Gives an answer. */
type Answer = (answer: JournalAnswer, transfer?: Transferable[]) => void;

/** Keeps a journal. */
export class JournalService {
  readonly #give: Answer;
  readonly #open: JournalOptions["open"];
  #journal: Journal | undefined;
  #hasFailed = false;
  #isClosing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether something came since it has tidied up. */
  #isBusy = false;

  /** Makes one that is asked to open a journal first; `open` is another way to open databases. */
  constructor(give: Answer, open?: JournalOptions["open"]) {
    this.#give = give;
    this.#open = open;
  }

  /** Does what is asked. */
  ask(question: JournalQuestion): void {
    // After a failure of the disk nothing is assumed of what was written, so nothing more is.
    if (this.#hasFailed && question.kind !== "close") return;
    try {
      this.#answer(question);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Does nothing more; what was not closed is left as it is. */
  end(): void {
    clearTimeout(this.#timer);
    this.#journal?.abandon();
    this.#journal = undefined;
  }

  #answer(question: JournalQuestion): void {
    switch (question.kind) {
      case "open":
        return this.#openWith(question.options);
      case "apply": {
        const failure = this.#try(() => this.#journal!.apply(new Uint8Array(question.batch), question.nowMs));
        this.#give({ kind: "applied", failure });
        return this.#tidyLater();
      }
      case "probe":
        return this.#give({ kind: "probed", failure: this.#try(() => this.#journal!.probe()) });
      case "read": {
        const { ask, topic } = question;
        const { buffer, damaged } = this.#journal!.read(topic, question);
        return this.#give({ kind: "read", ask, buffer, damaged }, [buffer]);
      }
      case "backup": {
        const { ask, path } = question;
        this.#journal!.backup(path).then(() => undefined, failureFor)
          .then((failure) => {
            this.#give({ kind: "copied", ask, failure });
            // The log had to stay where it was.
            if (!this.#hasFailed && !this.#isClosing) this.#tidyLater();
          });
        return;
      }
      case "close":
        this.#isClosing = true;
        clearTimeout(this.#timer);
        (this.#journal?.endCopies() ?? Promise.resolve()).then(() => this.#close());
    }
  }

  #openWith(options: Omit<JournalOptions, "open">): void {
    const { journal, content, lost } = Journal.open({ ...options, open: this.#open });
    this.#journal = journal;
    const columns = [content.ids.buffer, content.createdMs.buffer, content.bytes.buffer];
    this.#give({ kind: "opened", content, lost }, columns);
    this.#tidyLater();
  }

  /** Does something; what the disk has no room for can be done later, everything else is thrown. */
  #try(run: () => void): JournalFailure | undefined {
    try {
      run();
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code !== "disk_full") throw failure;
      return failureFor(failure);
    }
  }

  /** Tidies up a little later, however much comes meanwhile; at once if that can't wait. */
  #tidyLater(): void {
    // Whoever was given the answer may have closed it.
    if (this.#journal === undefined) return;
    this.#isBusy = true;
    if (this.#journal.isBehind) this.#tidy();
    else if (this.#timer === undefined) this.#tidyIn(PAUSE_MS);
  }

  #tidyIn(ms: number): void {
    this.#timer = setTimeout(() => this.#tidy(), ms);
    Deno.unrefTimer(this.#timer);
  }

  #tidy(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      let hasMore = false;
      const failure = this.#try(() => hasMore = this.#journal!.tidy());
      if (hasMore && failure === undefined) this.#tidyIn(this.#isBusy ? PAUSE_MS : 0);
      this.#isBusy = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  #close(): void {
    let failure: JournalFailure | undefined;
    try {
      // What has failed is left as it is: closing it would write.
      if (!this.#hasFailed) this.#journal?.close();
    } catch (error) {
      failure = failureFor(error);
    }
    this.#journal = undefined;
    this.#give({ kind: "closed", failure });
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    clearTimeout(this.#timer);
    this.#give({ kind: "failed", failure: failureFor(error) });
  }
}

function failureFor(error: unknown): JournalFailure {
  const { code, message } = failureOf(error);
  return { code, message };
}

/** The error that was sent. */
export function errorOf({ code, message }: JournalFailure): BusError {
  return new BusError(code, message);
}
