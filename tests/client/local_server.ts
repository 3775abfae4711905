/**
 * Servers in the process of the test, on loopback: a bus, or whatever a test wants a server to be.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { createHandler } from "../../lib/http/handler.ts";

/** A server that is stopped when it is disposed. */
export interface LocalServer extends AsyncDisposable {
  readonly uri: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Upgrades a request, and has the server wait for the socket's end. */
export type Upgrade = (request: Request) => Deno.WebSocketUpgrade;

/** Serves requests. */
export function serve(
  handler: (
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
    upgrade: Upgrade,
  ) => Response | Promise<Response>,
  port = 0,
): LocalServer {
  const closed: Promise<void>[] = [];
  const upgrade: Upgrade = (request) => {
    const upgraded = Deno.upgradeWebSocket(request);
    closed.push(new Promise((resolve) => upgraded.socket.addEventListener("close", () => resolve())));
    return upgraded;
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request, info) => handler(request, info, upgrade),
  );
  async function stop(): Promise<void> {
    await server.shutdown();
    await Promise.all(closed);
  }
  return { uri: `http://127.0.0.1:${server.addr.port}`, port: server.addr.port, stop, [Symbol.asyncDispose]: stop };
}

/** A server with a bus. */
export interface BusServer extends LocalServer {
  readonly bus: MessageBus;
}

/** Serves a bus, as msgbusd does. */
export function serveBus(options: BusOptions = {}, port = 0): BusServer {
  const bus = new MessageBus(options);
  const server = serve(createHandler(bus), port);
  async function stop(): Promise<void> {
    await bus.close();
    await server.stop();
  }
  return { ...server, bus, stop, [Symbol.asyncDispose]: stop };
}

/** A URI at which nobody listens. */
export function unusedUri(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return `http://127.0.0.1:${listener.addr.port}`;
}
