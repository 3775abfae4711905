/**
 * A port for a server that stops and starts again.
 *
 * @module
 */

// Below the range from which systems take the ports of outgoing connections and of port 0.
const FIRST = 20_000;
const COUNT = 12_000;

/** A free port on loopback that nothing else takes by chance while its server is down. */
export function lastingPort(): number {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
