/**
 * The errors that nobody caught.
 *
 * @module
 */

/** Runs `call` and returns what then surfaces as uncaught, in its turn of the event loop. */
export async function uncaughtOf(call: () => void): Promise<unknown[]> {
  const errors: unknown[] = [];
  const listener = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.error);
  };
  addEventListener("error", listener);
  try {
    call();
    // The errors were queued before this continuation.
    await Promise.resolve();
  } finally {
    removeEventListener("error", listener);
  }
  return errors;
}
