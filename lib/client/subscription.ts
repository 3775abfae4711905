/**
 * Subscriptions over the network, as programs see them.
 *
 * @module
 */

import type { BusError } from "../errors.ts";
import type { ControlEvent } from "../event.ts";
import type { Message } from "../message.ts";
import type { ClientClock } from "./backoff.ts";

/** Why a subscription has no connection, and when it tries again; see {@linkcode ClientSubscribeOptions.onReconnect}. */
export interface ReconnectNotice {
  /** What happened. Its code is `unreachable` for a connection that was lost or could not be made. */
  readonly reason: BusError;
  /** How long it waits before it tries again, in milliseconds. */
  readonly waitMs: number;
}

/** How a {@linkcode ClientSubscription} behaves; everything has a default. */
export interface ClientSubscribeOptions {
  /**
   * Where to begin: `latest` (the default: with what is published from now on), `earliest`, an id `42`, a position
   * `42@jf6ynu4k`, an RFC 3339 time, a time ago `10m`, `last:100`, or the
   * {@linkcode ClientSubscription.cursor} of an earlier subscription.
   */
  readonly since?: string;
  /**
   * Called with what the server tells besides messages, during the iteration, between the messages where it belongs.
   * What it throws ends the iteration. Events that only newer servers know are left out.
   */
  readonly onEvent?: (event: ControlEvent) => void;
  /** Closes the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * Whether it connects again when there is no connection, for as long as it takes. If not, the iteration throws
   * `unreachable`. Default `true`.
   */
  readonly reconnect?: boolean;
  /**
   * The first wait before connecting again, in milliseconds; the next ones double, and each is cut by up to a half by
   * chance, so that the clients of a server that restarts don't come all at once. Default 2 s.
   */
  readonly minWaitMs?: number;
  /** The longest wait, in milliseconds. Default 64 s. */
  readonly maxWaitMs?: number;
  /**
   * How much may wait for the reader, in bytes (nearly: characters of the envelopes). A WebSocket can't be told to pause:
   * what arrives beyond this makes the subscription drop its connection, hand out what it has, and connect again where
   * it was, as {@linkcode ClientSubscribeOptions.onReconnect} tells. Default 16 MiB.
   */
  readonly maxBufferedBytes?: number;
  /** Called when there is no connection, before the wait. */
  readonly onReconnect?: (notice: ReconnectNotice) => void;
  /** Called when there is a connection: the first one, and each one after. */
  readonly onConnect?: () => void;
  /** Where time and chance come from. Default: the machine. */
  readonly clock?: ClientClock;
}

/**
 * The messages of a topic, or of several, as they are published: those of each topic in the order of their ids.
 *
 * Iterate it with `for await`, which closes it at the end. The iteration ends when its one topic is deleted or the
 * subscription is closed, and throws what can't be mended by connecting again. Two iterations of one subscription share
 * its messages.
 *
 * A connection that is lost is made again, and goes on with what follows what was received last: nothing that the server
 * retains is missed or given twice. What it retains no more is told by a `gap` event.
 */
export interface ClientSubscription extends AsyncIterable<Message, void, void>, Disposable {
  /** The canonical name of the topic; topics and wildcards of several. */
  readonly topic: string;
  /**
   * The position after the message or event handed out last, from which a later subscription goes on: `<n>@<epoch>`, or
   * on several topics a time `T…`, which gives a few messages again. `undefined` before the first.
   */
  readonly cursor: string | undefined;
  /**
   * Resolves at the first connection: what is published from then on arrives. Rejects if the subscription ends before;
   * need not be handled.
   */
  readonly ready: Promise<void>;
  /** Resolves when the subscription has ended and its connection is closed; never rejects. */
  readonly closed: Promise<void>;
  /** Ends the subscription; messages not handed out yet are dropped. A second call does nothing. */
  close(): void;
}
