/**
 * A server's WebSocket whose client reads as much as a test says.
 *
 * @module
 */

import type { BusOptions } from "../../lib/bus/bus.ts";
import { MessageBus } from "../../lib/bus/bus.ts";
import type { EndReason } from "../../lib/bus/subscription.ts";
import { TextLines } from "../../lib/http/encodings.ts";
import type { FrameFormat } from "../../lib/http/handshake.ts";
import { SocketPush } from "../../lib/http/push_ws.ts";
import { TurnBudget } from "../../lib/http/turn_budget.ts";
import type { Since } from "../../lib/wire/since.ts";
import { TestClock } from "../bus/test_clock.ts";

const encoder = new TextEncoder();

/** As much of a WebSocket as the server uses. What is sent stays in its buffer until it is {@linkcode SlowSocket.read}. */
export class SlowSocket extends EventTarget {
  readyState: number = WebSocket.OPEN;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  /** Every frame sent so far. */
  readonly frames: string[] = [];
  /** The most that was ever in the buffer, in bytes. */
  highestAmount = 0;
  /** The code it was closed with; `undefined` if it wasn't. */
  closeCode: number | undefined;
  #buffered: number[] = [];

  get bufferedAmount(): number {
    return this.#buffered.reduce((sum, bytes) => sum + bytes, 0);
  }

  send(frame: string): void {
    this.frames.push(frame);
    this.#buffered.push(encoder.encode(frame).length);
    this.highestAmount = Math.max(this.highestAmount, this.bufferedAmount);
  }

  close(code: number): void {
    this.closeCode ??= code;
    this.readyState = WebSocket.CLOSING;
  }

  /** The client reads the frames that wait, or only so many of them. */
  read(count = Infinity): void {
    this.#buffered = this.#buffered.slice(Math.min(count, this.#buffered.length));
  }

  /** Everything sent so far, line by line or frame by frame. */
  get said(): { readonly id?: number; readonly event?: string; readonly [member: string]: unknown }[] {
    return this.frames.flatMap((frame) => frame.trimEnd().split("\n")).map((line) => JSON.parse(line));
  }
}

/** A subscriber over a {@linkcode SlowSocket}. */
export interface SlowReader extends AsyncDisposable {
  readonly bus: MessageBus;
  readonly clock: TestClock;
  readonly socket: SlowSocket;
  readonly ended: EndReason[];
}

/** Subscribes a slow socket to the topic `t`. */
export function slowReader(
  frames: FrameFormat,
  { stallMs = 60_000, since = "latest", ...busOptions }: BusOptions & { stallMs?: number; since?: Since } = {},
): SlowReader {
  const clock = new TestClock();
  const ended: EndReason[] = [];
  const bus = new MessageBus({
    clock,
    observer: { unsubscribed: (_subscription, reason) => void ended.push(reason) },
    ...busOptions,
  });
  const budget = new TurnBudget(clock);
  const push = new SocketPush(bus, { stallMs, clock, budget, lines: new TextLines(budget) });
  const socket = new SlowSocket();
  push.subscribe("t", { since, label: "", frames }).serve(socket as unknown as WebSocket);
  socket.dispatchEvent(new Event("open"));
  clock.flush();
  socket.read();
  return { bus, clock, socket, ended, [Symbol.asyncDispose]: () => bus.close() };
}
