/**
 * Logging that the daemon can't be reached for a moment.
 *
 * @module
 */

import type { Log } from "../log.ts";

const NO_DESCRIPTORS = /os error (23|24)\)/;

/** Makes a `ListenWatch.onLost` that says why the daemon doesn't listen, and what helps. */
export function listenerLog(log: Log): (error: unknown) => void {
  return (error) => {
    const { message } = error instanceof Error ? error : new Error(String(error));
    const why = NO_DESCRIPTORS.test(message) ? "no file descriptor is left; raise ulimit -n (LimitNOFILE)" : message;
    log.warn("not_listening", `msgbusd could not accept a connection, and tries again: ${why}`);
  };
}
