/**
 * What lies between a client and a server, and may break.
 *
 * @module
 */

/** Passes connections on to a port of loopback, until it cuts them. */
export class CuttingProxy implements AsyncDisposable {
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work: Promise<void>[] = [];

  constructor(targetPort: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#work.push(this.#accept(targetPort));
  }

  /** Cuts all connections that are open now. Later ones work. */
  cut(): void {
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#work);
  }

  async #accept(targetPort: number): Promise<void> {
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: targetPort });
      this.#connections.add(client).add(server);
      this.#work.push(this.#pass(client, server), this.#pass(server, client));
    }
  }

  async #pass(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    // A cut, or the end of one side, ends both.
    await from.readable.pipeTo(to.writable).catch(() => {});
    for (const connection of [from, to]) {
      if (!this.#connections.delete(connection)) continue;
      try {
        connection.close();
      } catch {
        // The stream has closed it.
      }
    }
  }
}
