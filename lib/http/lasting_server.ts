/**
 * A server that goes on listening. The platform stops for good when it can't accept a connection, for example because
 * the process has no file descriptor left; the connections that are open are served all the same.
 *
 * @module
 */

const MIN_WAIT_MS = 50;
const MAX_WAIT_MS = 1000;

/** A server that listens again whenever it has stopped by itself. */
export class LastingServer {
  /** Where it listens. */
  readonly addr: Deno.NetAddr;
  readonly #start: (port: number) => Deno.HttpServer<Deno.NetAddr>;
  readonly #onLost: (error: unknown) => void;
  /** The one that listens, and those that have stopped but may have connections. */
  readonly #servers: Deno.HttpServer<Deno.NetAddr>[] = [];
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes the first server; `start` makes another one on its port, `onLost` is told why that is needed. */
  constructor(
    server: Deno.HttpServer<Deno.NetAddr>,
    start: (port: number) => Deno.HttpServer<Deno.NetAddr>,
    onLost: (error: unknown) => void,
  ) {
    this.addr = server.addr;
    this.#start = start;
    this.#onLost = onLost;
    this.#watch(server);
  }

  /** Stops listening; resolves when all connections are done. */
  async shutdown(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#servers.map((server) => server.shutdown().catch(() => {})));
  }

  #watch(server: Deno.HttpServer<Deno.NetAddr>): void {
    this.#servers.push(server);
    server.finished.then(() => this.#lost(new Error("the server has stopped")), (error) => this.#lost(error));
  }

  #lost(error: unknown): void {
    if (this.#stopped) return;
    this.#onLost(error);
    this.#again(MIN_WAIT_MS);
  }

  #again(waitMs: number): void {
    this.#timer = setTimeout(() => {
      try {
        this.#watch(this.#start(this.addr.port));
      } catch {
        // Not yet: it is what was lost that is told of, not each try.
        this.#again(Math.min(2 * waitMs, MAX_WAIT_MS));
      }
    }, waitMs);
  }
}
