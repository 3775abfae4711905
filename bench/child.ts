/**
 * Child processes that never outlive this one.
 *
 * @module
 */

/** How to start a {@linkcode Child}. */
export interface ChildOptions {
  /** The program; default this Deno. */
  readonly command?: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** The stream whose lines are read; the other one goes nowhere, or to this process's own if it is standard error. */
  readonly reads: "stdout" | "stderr";
}

const STOP_DEADLINE_MS = 5000;
const running = new Set<Child>();
let ending = false;

/** Ends every child at once. For signal handlers; whoever started a child disposes of it otherwise. */
export function killChildren(signal: Deno.Signal = "SIGKILL"): void {
  for (const child of running) child.kill(signal);
}

/**
 * Ends every child at once, and resolves when all have ended. None can be started from then on, so that what goes on
 * meanwhile leaves none behind.
 */
export async function endChildren(): Promise<void> {
  ending = true;
  await Promise.all(Array.from(running, (child) => {
    child.kill("SIGKILL");
    return child.ended;
  }));
}

/** A program that is told lines and answers in lines. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string, undefined>;
  readonly #name: string;

  /** Starts it. */
  constructor({ command = Deno.execPath(), args, reads }: ChildOptions) {
    if (ending) throw new Error(`Cannot start ${command}: this program ends`);
    this.#name = [command.replace(/.*[/\\]/, ""), ...args.map((arg) => arg.replace(/.*[/\\]/, ""))].join(" ");
    const streams = reads === "stdout"
      ? { stdout: "piped", stderr: "inherit" } as const
      : { stdout: "null", stderr: "piped" } as const;
    this.#process = new Deno.Command(command, { args: [...args], stdin: "piped", ...streams }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process[reads]);
    running.add(this);
    void this.#process.status.then(() => running.delete(this));
  }

  /** The process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Resolves when it has ended, for whatever reason. */
  get ended(): Promise<unknown> {
    return this.#process.status;
  }

  /** Gives it a line. */
  async tell(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Its next line. Throws an `Error` if it ends first, or after `deadlineMs`. */
  async nextLine(deadlineMs: number): Promise<string> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`${this.#name}: no answer in ${deadlineMs} ms`)), deadlineMs);
    try {
      const { value } = await Promise.race([this.#lines.next(), promise]);
      if (value === undefined) throw new Error(`${this.#name}: ended early`);
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads on and forgets, so that it is never held up by a full pipe. */
  async forgetLines(): Promise<void> {
    for await (const _ of this.#lines);
  }

  /** Sends it a signal, if it is still there. */
  kill(signal: Deno.Signal): void {
    if (!running.has(this)) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It may have ended without our knowing yet.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Ends it: politely, then not. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), STOP_DEADLINE_MS);
    await this.#process.status;
    clearTimeout(timer);
    await this.#stdin.abort().catch(() => {});
    await this.#lines.return(undefined);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  return undefined;
}
