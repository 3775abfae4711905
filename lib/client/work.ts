/**
 * Working off the messages of a queue or a group, as programs see it.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { Gap } from "../event.ts";
import type { Message } from "../message.ts";
import type { ClientClock } from "./backoff.ts";
import type { ReconnectNotice } from "./subscription.ts";

/** What a {@linkcode WorkHandler} gets besides the message. */
export interface WorkContext {
  /**
   * Aborts when somebody else may have the message: its lease has ended, because the server could not be reached in time
   * to extend it, or the server says so. The reason is a {@linkcode LeaseLost}. Aborts, too, when the worker is closed.
   */
  readonly signal: AbortSignal;
}

/** Handles a message: it is acknowledged when this returns, and handed back when it throws. */
export type WorkHandler = (message: Message, context: WorkContext) => unknown;

/** How to hand a message back; see {@linkcode Retry}. */
export interface RetryOptions extends ErrorOptions {
  /** How long it is not handed out again, in milliseconds, up to 12 h. Default: longer with each attempt. */
  readonly delayMs?: number;
  /** Whether the attempt counts. Default: it does. */
  readonly count?: boolean;
}

/**
 * What a handler throws to say how its message is to be tried again. Any other error is handed back as an attempt that
 * counts, with a delay that grows.
 *
 * @example
 * ```ts
 * import { Retry } from "@msgbus/msgbus";
 *
 * function send(answer: Response): void {
 *   // Not the message's fault: it must not become a dead letter for it.
 *   if (answer.status === 503) throw new Retry("the mail server is busy", { delayMs: 60_000, count: false });
 * }
 * ```
 */
export class Retry extends Error {
  /** See {@linkcode RetryOptions.delayMs}. */
  readonly delayMs: number | undefined;
  /** See {@linkcode RetryOptions.count}. */
  readonly count: boolean;

  /**
   * Hands back for a reason that the dead letter would have.
   *
   * @throws {BusError} `bad_option` if `delayMs` is not a time up to 12 h.
   */
  constructor(reason: string, options: RetryOptions = {}) {
    super(reason, options);
    this.name = "Retry";
    const { delayMs, count = true } = options;
    if (delayMs !== undefined && !(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
      throw new BusError("bad_option", `Bad delayMs: ${delayMs} is not a time up to 12 h`);
    }
    this.delayMs = delayMs;
    this.count = count;
  }
}

/** Why the signal of a handler aborts, unless its worker is closed: somebody else may have its message. */
export class LeaseLost extends Error {
  /** Says what has happened. */
  constructor(message: string) {
    super(message);
    this.name = "LeaseLost";
  }
}

/** The longest delay that a server takes, in milliseconds. */
export const MAX_DELAY_MS = 12 * 3_600_000;

/** How to work; everything has a default. */
export interface WorkOptions {
  /** The group whose messages are worked off; one that doesn't exist is made. Default: the queue. */
  readonly group?: string;
  /** Where a group that doesn't exist begins; see {@linkcode ClientSubscribeOptions.since}. Default `earliest`. */
  readonly from?: string;
  /**
   * How long nobody else gets a message that this worker has, in milliseconds, from 1 s to 12 h: so long does it take
   * until another one does it if this one dies. It is extended while the handler runs. Default 30 s.
   */
  readonly leaseMs?: number;
  /** How many messages are handled at the same time, at most. No more than that are leased. Default 1. */
  readonly parallel?: number;
  /** Drains the worker when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * How long a message is not handed out again after its first failure, in milliseconds; doubles with each attempt, and
   * is cut by up to a half by chance. Default 1 s.
   */
  readonly minDelayMs?: number;
  /** The longest such delay, in milliseconds, up to 12 h. Default 5 minutes. */
  readonly maxDelayMs?: number;
  /**
   * The first wait before asking a server again that is away, in milliseconds; see
   * {@linkcode ClientSubscribeOptions.minWaitMs}. While there is a lease to be extended, no wait is longer than a sixth of
   * `leaseMs`. Default 2 s.
   */
  readonly minWaitMs?: number;
  /** The longest such wait, in milliseconds. Default 64 s. */
  readonly maxWaitMs?: number;
  /** Called when the server answers: the first time, and each time after it was away. */
  readonly onConnect?: () => void;
  /** Called when the server is away, or has no room for more leases in this group, before the wait. */
  readonly onReconnect?: (notice: ReconnectNotice) => void;
  /** Called with what the group has lost, because it expired or was dropped before anybody got it. */
  readonly onGap?: (gap: Gap) => void;
  /** Called with what a handler has thrown, before the message is handed back. */
  readonly onFailure?: (error: unknown, message: Message) => void;
  /**
   * Called once for a message of which it is not certain that this worker has it, or that its result arrived: it may be
   * handled again.
   */
  readonly onLost?: (message: Message) => void;
  /** Where time and chance come from. Default: the machine. */
  readonly clock?: ClientClock;
}

/**
 * A worker: see {@linkcode Client.work}. It leases messages as it can start with them, none in advance, and asks again
 * for as long as it takes when the server is away. What a callback throws, and what the server refuses for good, drains
 * it and rejects {@linkcode ClientWorker.ended}.
 *
 * An answer to an acknowledgement that is lost on its way is asked for again: an acknowledgement is tried until there is
 * one. Only a drain ends that, when the lease has ended.
 */
export interface ClientWorker extends AsyncDisposable {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The group; `""` is the queue. */
  readonly group: string;
  /** Resolves when the server has answered for the first time. Rejects if the worker ends before; need not be handled. */
  readonly ready: Promise<void>;
  /** Resolves when the worker has ended: it was drained or closed. Rejects if it could not go on. */
  readonly ended: Promise<void>;
  /**
   * Takes no more messages, lets the handlers that run finish, and hands back, not counted, what was leased and not
   * begun. Resolves as {@linkcode ClientWorker.ended}. So does `await using`.
   */
  drain(): Promise<void>;
  /**
   * Ends at once: aborts the signals of the handlers that run and hands their messages back, not counted, whatever the
   * handlers do. Resolves as {@linkcode ClientWorker.ended}, after 5 s at the latest.
   */
  close(): Promise<void>;
}
