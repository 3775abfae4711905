/**
 * `GET` on a topic with `Upgrade: websocket` and `group=`: the messages of a group are leased to the socket as long as it
 * has room for them, and its client settles them in lines that it sends.
 *
 * @module
 */

import type { Batch, GroupName, LeaseHolder, Settlement, SettleOptions } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { type Clock, MAX_SLEEP_MS } from "../bus/clock.ts";
import { BusError } from "../errors.ts";
import type { Gap } from "../event.ts";
import { formatCursor, parseCursor } from "../message.ts";
import { encodeEvent, encodeLines } from "../wire/ndjson.ts";
import type { Since } from "../wire/since.ts";
import { settleLine } from "./groups.ts";
import { Outbox } from "./outbox.ts";
import { STATUS } from "./respond.ts";
import type { TurnBudget } from "./turn_budget.ts";

// What is leased at once, as lines: with it, at most twice as much waits in the socket's buffer as makes it full.
const MAX_BATCH_BYTES = 64 * 1024;
/** How long nothing is leased from a group that has as many messages leased as it may. */
const FULL_PAUSE_MS = 1000;
const MAX_FRAME_BYTES = 1024 ** 2;
// A frame is settled in one go.
const MAX_LINES = 1000;
// What is sent at once, and doesn't wait for the end of the turn.
const MAX_UNSENT_LENGTH = 16 * 1024;
// Answers that a client hasn't read are kept for it; beyond this it has to go.
const MAX_UNREAD_LENGTH = 4 * 1024 ** 2;
// What waits for the store; the platform can't be told to stop reading.
const MAX_WAITING_BYTES = 16 * 1024 ** 2;

const EVENTS = ["open", "message", "close", "error"] as const;
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** What a {@linkcode SocketWorker} works with. */
export interface SocketWorkerOptions {
  /** The group that it works for; `""` is the queue. */
  readonly group: string;
  /** Where a group that doesn't exist begins. Default `earliest`. */
  readonly from?: Since | undefined;
  /** How long leases last, in milliseconds. */
  readonly leaseMs: number;
  /** How many leases it may have. */
  readonly inflight: number;
  /** Closes the socket when it aborts. */
  readonly draining: AbortSignal | undefined;
  /** Told why the socket is closed, if it is for an error. */
  readonly onRefusal: (error: BusError) => void;
  /** Told of what is not an expected condition. */
  readonly onBug: (error: unknown) => void;
  /** How long the client may read nothing while there is something for it, in milliseconds. */
  readonly stallMs: number;
  /** Where time comes from. */
  readonly clock: Clock;
  /** What all readers together may encode in a turn. */
  readonly budget: TurnBudget;
}

/**
 * Leases messages to a socket, as long as it has fewer than it may, and settles what its client says. What it has goes
 * back to the group, uncounted, when the socket ends, however that happens.
 */
export class SocketWorker implements LeaseHolder {
  readonly #bus: MessageBus;
  readonly #topic: string;
  readonly #socket: WebSocket;
  readonly #options: SocketWorkerOptions;
  readonly #mine: SettleOptions;
  readonly #outbox: Outbox;
  /** The leases that are out. */
  readonly #held = new Set<string>();
  /** Aborts when nothing is leased to it any more. */
  readonly #left = new AbortController();
  #isLeasing = false;
  /** Ends a pause. */
  #resume: (() => void) | undefined;
  /** What is sent at the end of this turn. */
  #unsent = "";
  /** What has been received and not been answered, in bytes. */
  #waitingBytes = 0;
  /** Settles when everything received so far has been answered. */
  #last: Promise<void> = Promise.resolve();

  /** Takes a socket, which need not be open yet: nothing is leased to it before. */
  constructor(bus: MessageBus, topic: string, socket: WebSocket, options: SocketWorkerOptions) {
    this.#bus = bus;
    this.#topic = topic;
    this.#socket = socket;
    this.#options = options;
    const of: GroupName = { topic, group: options.group };
    this.#mine = { of };
    const { clock, stallMs } = options;
    this.#outbox = new Outbox(socket, {
      clock,
      stallMs,
      onStalled: () => this.#cut(4408, "nothing was read for too long"),
    });
    for (const type of EVENTS) socket.addEventListener(type, this);
  }

  /** How many more leases it may have. */
  get room(): number {
    return Math.max(this.#options.inflight - this.#held.size, 0);
  }

  /** It has a lease. */
  leased(token: string): void {
    this.#held.add(token);
  }

  /** It has a lease no more. */
  released(token: string): void {
    this.#held.delete(token);
    if (this.#left.signal.aborted) return;
    if (this.#isLeasing) return this.#resume?.();
    this.#isLeasing = true;
    // Not at once: the bus is in the middle of something, maybe about to release others, and the answer comes first.
    this.#options.clock.defer(() => void this.#lease());
  }

  /** What happens to the socket. */
  handleEvent(event: Event): void {
    switch (event.type) {
      case "open":
        return this.#open();
      case "message":
        return this.#receive((event as MessageEvent<string | ArrayBuffer>).data);
      // Closed, or an error: either may come alone, or both, or one of them twice.
      default:
        this.#leave();
        this.#outbox.stop();
    }
  }

  #open(): void {
    const { draining } = this.#options;
    if (draining?.aborted) return this.#onDraining();
    // Not before: a client that is gone before its handshake is answered is never heard of again.
    draining?.addEventListener("abort", this.#onDraining);
    void this.#lease();
  }

  readonly #onDraining = () => this.#close(1001, "the server is shutting down", `{"event":"bye"}\n`);

  /** Leases for as long as there is room. */
  async #lease(): Promise<void> {
    this.#isLeasing = true;
    const { signal } = this.#left;
    const { group, from, leaseMs, inflight } = this.#options;
    const wanted = { group, from, leaseMs, limit: inflight, maxBytes: MAX_BATCH_BYTES, holder: this };
    while (!signal.aborted && this.room > 0) {
      if (!this.#outbox.hasRoom) {
        await this.#outbox.room();
        continue;
      }
      try {
        const batch = await this.#bus.pullBatch(this.#topic, { ...wanted, waitMs: MAX_SLEEP_MS, signal });
        await this.#send(batch);
      } catch (error) {
        if (error === signal.reason) break;
        if (error instanceof BusError && error.code === "too_many_leased") await this.#pause();
        else this.#fail(error);
      }
    }
    this.#isLeasing = false;
  }

  /** Others have all that the group may have leased; maybe they are done soon, or this one is. */
  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.schedule(resolve, FULL_PAUSE_MS);
    this.#resume = () => {
      cancel();
      resolve();
    };
    return promise.finally(() => this.#resume = undefined);
  }

  async #send({ messages, gap }: Batch): Promise<void> {
    const { budget } = this.#options;
    while (budget.isSpent) await new Promise<void>((resolve) => budget.wait(resolve));
    // What was leased to it has gone back.
    if (this.#left.signal.aborted) return;
    const lines = (gap === undefined ? "" : this.#lineOf(gap)) + encodeLines(messages);
    budget.spend(lines.length);
    this.#say(lines);
  }

  #lineOf(gap: Gap): string {
    // The topic may be gone meanwhile. A gap without an end is before all messages of it.
    const { epoch } = parseCursor(this.#bus.topic(this.#topic)?.cursor ?? "0")!;
    const cursor = formatCursor(gap.to === null ? 0 : gap.to + 1, epoch);
    return `${encodeEvent({ event: "gap", cursor, ...gap })}\n`;
  }

  #receive(data: string | ArrayBuffer): void {
    if (this.#left.signal.aborted) return;
    const bytes = typeof data === "string" ? data.length : data.byteLength;
    this.#outbox.look();
    if (bytes > MAX_FRAME_BYTES) return this.#close(1009, "message too large");
    this.#waitingBytes += bytes;
    if (this.#waitingBytes > MAX_WAITING_BYTES) return this.#close(1013, "too much is waiting to be settled");
    const settlements: Promise<Settlement>[] = [];
    try {
      for (const line of linesOf(data)) settlements.push(settleLine(this.#bus, line, this.#mine));
    } catch (error) {
      this.#answer(settlements, bytes);
      return this.#fail(error);
    }
    this.#answer(settlements, bytes);
  }

  /** Answers what has come in a frame, after everything before it. */
  #answer(settlements: readonly Promise<Settlement>[], bytes: number): void {
    this.#last = Promise.all([Promise.all(settlements), this.#last]).then(([settled]) => {
      this.#waitingBytes -= bytes;
      this.#say(settled.map(answerTo).join(""));
    }, (error) => this.#fail(error));
  }

  /** Sends lines, at the end of the turn with others: the answer to an ack and what it made room for are one frame. */
  #say(lines: string): void {
    if (this.#unsent === "") this.#options.clock.defer(() => this.#flush());
    this.#unsent += lines;
    if (this.#unsent.length > MAX_UNSENT_LENGTH) this.#flush();
  }

  #flush(): void {
    const lines = this.#unsent;
    this.#unsent = "";
    if (lines === "" || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#outbox.push(lines);
    if (this.#outbox.length > MAX_UNREAD_LENGTH) this.#cut(1013, "answers are not read");
  }

  /** Hands back what it has, and takes nothing more. */
  #leave(): void {
    if (this.#left.signal.aborted) return;
    this.#left.abort();
    this.#resume?.();
    const { draining, onBug } = this.#options;
    draining?.removeEventListener("abort", this.#onDraining);
    if (this.#held.size === 0) return;
    Promise.try(() => this.#bus.nack([...this.#held], { count: false })).catch((error) => {
      // There is no group to hand anything back to when the bus is closed.
      if (!(error instanceof BusError)) onBug(error);
    });
  }

  /** Leaves because of an error that won't pass. */
  #fail(error: unknown): void {
    const { onBug, onRefusal } = this.#options;
    const isExpected = error instanceof BusError;
    if (!isExpected) onBug(error);
    if (this.#left.signal.aborted) return;
    const { code, message } = isExpected ? error : new BusError("internal", "Internal error");
    if (code === "draining" || code === "already_closed") return this.#onDraining();
    if (isExpected) onRefusal(error);
    const line = `${JSON.stringify({ error: code, message })}\n`;
    if (STATUS[code] === 400) this.#close(4400, "bad line", line);
    else if (STATUS[code] === 500) this.#close(1011, "internal error", line);
    else this.#close(1013, "over a limit", line);
  }

  /** Leaves, and closes the socket after everything that was received has been answered. */
  #close(code: number, reason: string, line = ""): void {
    this.#leave();
    this.#last = this.#last.then(() => {
      if (this.#socket.readyState !== WebSocket.OPEN) return;
      this.#unsent += line;
      this.#flush();
      this.#outbox.flush();
      this.#socket.close(code, reason);
    });
  }

  /** Leaves, and closes the socket of a client that doesn't read: it is told nothing more. */
  #cut(code: number, reason: string): void {
    this.#leave();
    this.#outbox.stop();
    this.#socket.close(code, reason);
  }
}

function answerTo({ done, unknown }: Settlement): string {
  return `${JSON.stringify({ event: "settled", done, unknown })}\n`;
}

/**
 * The lines of a frame; empty ones say nothing.
 *
 * @throws {BusError} `bad_request` if it is not UTF-8, or has too many.
 */
function linesOf(frame: string | ArrayBuffer): string[] {
  let text: string;
  try {
    text = typeof frame === "string" ? frame : strictDecoder.decode(frame);
  } catch (cause) {
    throw new BusError("bad_request", "Bad frame: not UTF-8", { cause });
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length > MAX_LINES) throw new BusError("bad_request", `Bad frame: over ${MAX_LINES} lines`);
  return lines;
}
