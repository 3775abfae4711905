/**
 * One WebSocket of a subscription, from the handshake to its end.
 *
 * @module
 */

import type { ClientClock } from "./backoff.ts";

/** How a connection ended. */
export type Ending =
  /** It was never made. */
  | { readonly kind: "failed" }
  /** It was there; `lastedMs` is how long. */
  | { readonly kind: "closed"; readonly code: number; readonly reason: string; readonly lastedMs: number }
  /** The receiver wanted no more. */
  | { readonly kind: "refused" };

/** What to connect to, and who receives. */
export interface ConnectionOptions {
  /** The address. */
  readonly url: string;
  /** The subprotocols to offer. */
  readonly protocols: readonly string[];
  /** Ends the connection when it aborts. */
  readonly signal: AbortSignal;
  /** Where time comes from. */
  readonly clock: ClientClock;
  /** Called when the connection is made. */
  onOpen(): void;
  /** Called with what each frame holds; returns whether there may be more. */
  onFrame(data: unknown): boolean;
}

const CONNECT_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;
// A socket of which the other end has vanished without a word tells so only when something is sent.
const PROBE_MS = 30_000;

/** Makes a connection and resolves when it is over. */
export function connect({ url, protocols, signal, clock, onOpen, onFrame }: ConnectionOptions): Promise<Ending> {
  const { promise, resolve } = Promise.withResolvers<Ending>();
  const socket = new WebSocket(url, [...protocols]);
  let openedMs: number | undefined;
  let refused = false;
  let cancelLeaving = () => {};
  let cancelProbe = () => {};
  // Nothing may outlive it: a server that has vanished is heard of minutes later, or never.
  const settle = (code: number, reason: string) => {
    cancelTimeout();
    cancelProbe();
    cancelLeaving();
    signal.removeEventListener("abort", leave);
    socket.onopen =
      socket.onmessage =
      socket.onclose =
      socket.onerror =
        null;
    if (refused) resolve({ kind: "refused" });
    else if (openedMs === undefined) resolve({ kind: "failed" });
    else resolve({ kind: "closed", code, reason, lastedMs: clock.now() - openedMs });
  };
  const leave = () => {
    socket.onmessage = null;
    socket.close();
    cancelProbe();
    cancelLeaving();
    // A server that has vanished never answers.
    cancelLeaving = clock.schedule(() => settle(1006, ""), CLOSE_TIMEOUT_MS);
  };
  const cancelTimeout = clock.schedule(leave, CONNECT_TIMEOUT_MS);
  const probe = () => {
    socket.send("");
    cancelProbe = clock.schedule(probe, PROBE_MS);
  };
  socket.onopen = () => {
    cancelTimeout();
    openedMs = clock.now();
    cancelProbe = clock.schedule(probe, PROBE_MS);
    onOpen();
  };
  socket.onmessage = ({ data }) => {
    if (onFrame(data)) return;
    refused = true;
    leave();
  };
  // Deno reports some lost connections only as an error, some as both.
  socket.onclose = socket.onerror = (event) => {
    if (event.type === "error" && socket.readyState !== WebSocket.CLOSED) return;
    const { code = 1006, reason = "" } = event as CloseEvent;
    settle(code, reason);
  };
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave);
  return promise;
}
