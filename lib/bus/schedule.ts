/**
 * The one scheduler of a bus: however many things wait for a time, there is one timer.
 *
 * @module
 */

import { type Clock, MAX_SLEEP_MS } from "./clock.ts";
import { Heap, type HeapEntry } from "./heap.ts";

/** Something that is due at a time. */
export interface Scheduled {
  /** Does what is due at `nowMs` and returns when it wants to run again, `Infinity` for never. */
  due(nowMs: number): number;
}

/** A place in a {@linkcode Schedule}. */
export type Appointment = HeapEntry<Scheduled>;

// Messages of a busy topic expire one by one. Readers judge expiry themselves, so the sweep that gives memory back may
// lag and do many at once.
const MIN_SLEEP_MS = 20;
// Nothing is due before it, so the timer is never set again.
const STOPPED = -Infinity;

/** Runs {@linkcode Scheduled}s when they are due, never early, up to 20 ms late. */
export class Schedule {
  readonly #clock: Clock;
  readonly #heap = new Heap<Scheduled>();
  #wakeMs = Infinity;
  #cancel: (() => void) | undefined;

  /** Makes an empty schedule. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds something that is due at `dueMs`, in milliseconds since the Unix epoch. */
  add(scheduled: Scheduled, dueMs: number): Appointment {
    const appointment = this.#heap.add(scheduled, dueMs);
    this.#arm();
    return appointment;
  }

  /** Moves an appointment to another time. */
  move(appointment: Appointment, dueMs: number): void {
    this.#heap.move(appointment, dueMs);
    this.#arm();
  }

  /** Takes an appointment back. */
  remove(appointment: Appointment): void {
    this.#heap.remove(appointment);
  }

  /** Stops the timer. Nothing runs any more. */
  stop(): void {
    this.#cancel?.();
    this.#wakeMs = STOPPED;
  }

  #arm(): void {
    const dueMs = this.#heap.peek()?.key ?? Infinity;
    if (dueMs >= this.#wakeMs) return;
    this.#cancel?.();
    this.#wakeMs = dueMs;
    const sleepMs = Math.max(dueMs - this.#clock.now(), MIN_SLEEP_MS);
    this.#cancel = this.#clock.schedule(() => this.#wake(), Math.min(sleepMs, MAX_SLEEP_MS));
  }

  #wake(): void {
    const nowMs = this.#clock.now();
    try {
      for (let first = this.#heap.peek(); first !== undefined && first.key <= nowMs; first = this.#heap.peek()) {
        this.#run(first, nowMs);
      }
    } finally {
      if (this.#wakeMs !== STOPPED) {
        this.#wakeMs = Infinity;
        this.#arm();
      }
    }
  }

  #run(appointment: Appointment, nowMs: number): void {
    // What throws is a bug that surfaces; it must not stop the clock for everything else, so it comes up again later.
    let againMs = nowMs + MIN_SLEEP_MS;
    try {
      againMs = appointment.value.due(nowMs);
    } finally {
      this.#heap.move(appointment, Math.max(againMs, nowMs + 1));
    }
  }
}
