/**
 * A worker's WebSocket without a network: a test says when its client reads, what it sends, and when time passes.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { systemClock } from "../../lib/bus/clock.ts";
import { SocketWorker, type SocketWorkerOptions } from "../../lib/http/push_group.ts";
import { TurnBudget } from "../../lib/http/turn_budget.ts";
import { TestClock } from "../bus/test_clock.ts";
import { SlowSocket } from "./slow_socket.ts";

/** A line that a worker was sent. */
export interface Line {
  readonly id?: number;
  readonly attempt?: number;
  readonly lease?: string;
  readonly event?: string;
  readonly done?: readonly string[];
  readonly unknown?: readonly string[];
  readonly error?: string;
}

/** A socket that works for a group, and what its client knows. */
export class WorkerSocket extends SlowSocket {
  /** What the edge was told is no expected condition. */
  readonly bugs: unknown[] = [];
  /** The codes of what it was refused. */
  readonly refused: string[] = [];
  readonly #clock: TestClock;

  /** Makes one that works for the group `g` of the topic `t`, for leases of 30 s, and opens it unless it is to wait. */
  constructor(
    bus: MessageBus,
    clock: TestClock,
    { readyState = WebSocket.OPEN, ...options }: Partial<SocketWorkerOptions> & { readyState?: number } = {},
  ) {
    super();
    this.#clock = clock;
    this.readyState = readyState;
    new SocketWorker(bus, "t", this as unknown as WebSocket, {
      group: "g",
      leaseMs: 30_000,
      inflight: 100,
      draining: undefined,
      stallMs: 60_000,
      clock,
      budget: new TurnBudget(clock),
      onRefusal: ({ code }) => void this.refused.push(code),
      onBug: (error) => void this.bugs.push(error),
      ...options,
    });
    if (readyState === WebSocket.OPEN) this.happens("open");
  }

  /** Everything it was sent so far, line by line. */
  get lines(): Line[] {
    return this.said;
  }

  /** The ids of the messages it was sent so far. */
  get ids(): number[] {
    return this.lines.flatMap(({ id }) => id ?? []);
  }

  /** The tokens it was sent so far, in the order of their messages. */
  get tokens(): string[] {
    return this.lines.flatMap(({ lease }) => lease ?? []);
  }

  /** What happens to a WebSocket. */
  happens(event: "open" | "close" | "error"): void {
    if (event !== "open") this.readyState = WebSocket.CLOSED;
    this.dispatchEvent(new Event(event));
  }

  /** Its client sends a frame: of lines, or as it is. */
  sends(frame: string | ArrayBuffer | readonly object[]): void {
    const data = typeof frame === "string" || frame instanceof ArrayBuffer
      ? frame
      : (frame as readonly object[]).map((line) => JSON.stringify(line)).join("\n");
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** The same, and the lines that come of it. */
  async asks(frame: string | ArrayBuffer | readonly object[]): Promise<Line[]> {
    const before = this.lines.length;
    this.sends(frame);
    await this.turn();
    return this.lines.slice(before);
  }

  /** Lets everything happen that can happen now; the client reads it. */
  async turn(): Promise<void> {
    await turn(this.#clock);
    this.read();
  }
}

/** A bus with `count` messages in the topic `t`, and workers for its group `g`. */
export function setUp(count = 0, options: BusOptions = {}) {
  const clock = new TestClock();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  for (let i = 0; i < count; i++) bus.put("t", `${i}`);
  return {
    bus,
    clock,
    worker: (options: ConstructorParameters<typeof WorkerSocket>[2] = {}) => new WorkerSocket(bus, clock, options),
    group: () => bus.groups("t").find(({ group }) => group === "g"),
  };
}

/** Lets everything happen that can happen now. */
export async function turn(clock: TestClock): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await settled();
    clock.flush();
  }
  await settled();
}

/** Resolves when all promises that could settle by now have; sooner than a timer would. */
function settled(): Promise<void> {
  return new Promise((resolve) => systemClock.defer(resolve));
}
