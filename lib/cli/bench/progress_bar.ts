/**
 * A bar on a terminal that fills while one waits.
 *
 * @module
 */

import type { ClientClock } from "../../client/backoff.ts";
import type { Terminal } from "../io.ts";

const REDRAW_MS = 100;
const BAR_COLUMNS = 30;
const CLEAR_LINE = "\r\x1b[K";

/** How far it is, and what else is to be seen. */
export interface State {
  /** From 0 to 1. */
  readonly fraction: number;
  /** On one line. */
  readonly text: string;
}

/** A bar as it is drawn, no longer than a line. */
export function barOf({ fraction, text }: State, columns: number): string {
  const filled = Math.round(fraction * BAR_COLUMNS);
  const bar = "#".repeat(filled) + "-".repeat(BAR_COLUMNS - filled);
  return `[${bar}] ${String(Math.floor(fraction * 100)).padStart(3)}%  ${text}`.slice(0, Math.max(0, columns - 1));
}

/** Draws a bar again and again, and takes it away when it is disposed. */
export class ProgressBar implements Disposable {
  readonly #terminal: Terminal | undefined;
  readonly #clock: ClientClock;
  readonly #state: () => State;
  #cancel = () => {};

  /** Draws the state of each moment; nothing if there is no terminal. */
  constructor(terminal: Terminal | undefined, clock: ClientClock, state: () => State) {
    this.#terminal = terminal;
    this.#clock = clock;
    this.#state = state;
    if (terminal !== undefined) this.#draw();
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#terminal?.draw(CLEAR_LINE);
  }

  #draw(): void {
    const terminal = this.#terminal!;
    terminal.draw(CLEAR_LINE + barOf(this.#state(), terminal.columns));
    this.#cancel = this.#clock.schedule(() => this.#draw(), REDRAW_MS);
  }
}
