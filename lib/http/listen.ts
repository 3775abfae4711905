/**
 * Listening on the addresses that an option names.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { type Address, splitAddress } from "../options.ts";
import { isLoopback } from "./exposure.ts";
import type { Handler } from "./handler.ts";
import { LastingServer } from "./lasting_server.ts";
import { ReaderStalled } from "./push_stream.ts";

/** The servers of one bound address. */
export interface Listening {
  /** The address as it was given, with the port that was taken. */
  readonly name: string;
  /** One or two servers. */
  readonly servers: readonly LastingServer[];
}

/** Who is told what goes wrong where no request is told. */
export interface ListenWatch {
  /** Told of what goes wrong in answers that have begun. */
  readonly onBug: (error: unknown) => void;
  /** Told why a server has stopped listening; it is started again. */
  readonly onLost: (error: unknown) => void;
}

/** Whether an address as `--bind` takes it can be reached from this machine only. */
export function isLoopbackAddress(text: string): boolean {
  return isLoopback(splitAddress(text)!.host.toLowerCase());
}

/**
 * Serves on one address. `localhost` is 127.0.0.1 and, where there is IPv6, ::1; an empty host is every address of both
 * families; port 0 is any free port, the same in both families. It goes on listening when descriptors run out.
 *
 * @throws {BusError} `address_in_use`, or `bad_option` if the address can't be listened on for another reason.
 */
export async function listen(bind: string, handler: Handler, watch: ListenWatch): Promise<Listening> {
  return await listenAs(bind, (at) => serve(at, handler, watch));
}

/**
 * Makes sure that addresses can be listened on, all at once, and lets go of them again: before something else is done that
 * would be in vain.
 *
 * @throws {BusError} as {@linkcode listen}.
 */
export async function assertFree(binds: readonly string[]): Promise<void> {
  const taken: Listener[] = [];
  try {
    for (const bind of binds) taken.push(...(await listenAs(bind, take)).servers);
  } finally {
    await Promise.all(taken.map((listener) => listener.shutdown()));
  }
}

/** What listens on one address of one family. */
interface Listener {
  readonly addr: Deno.NetAddr;
  shutdown(): Promise<void>;
}

interface HostAndPort {
  readonly hostname: string;
  readonly port: number;
}

/** Listens in every family that an address has. */
async function listenAs<T extends Listener>(
  bind: string,
  start: (at: HostAndPort) => T,
): Promise<{ name: string; servers: T[] }> {
  const address = splitAddress(bind)!;
  const hosts = HOSTS[address.host.toLowerCase()] ?? [address.host];
  // With port 0 the port that one family gives may be taken in the other.
  for (let attempt = 1;; attempt++) {
    const servers: T[] = [];
    try {
      for (const hostname of hosts) {
        const port = servers[0]?.addr.port ?? address.port;
        const server = unlessNeedless(() => start({ hostname, port }), hostname, servers.length > 0);
        if (server !== undefined) servers.push(server);
      }
      if (servers.length === 0) throw new Deno.errors.AddrNotAvailable(`no address for ${bind}`);
      return { name: nameOf(address, servers[0]!.addr.port), servers };
    } catch (error) {
      await Promise.all(servers.map((server) => server.shutdown()));
      if (!(error instanceof Deno.errors.AddrInUse)) throw explained(error, bind);
      if (address.port !== 0 || attempt === MAX_ATTEMPTS) {
        throw new BusError("address_in_use", `Cannot listen on ${bind}: the address is in use`, { cause: error });
      }
    }
  }
}

const MAX_ATTEMPTS = 10;

// IPv6 first where both mean every address: on Linux it takes IPv4 with it.
const HOSTS: Readonly<Record<string, readonly string[]>> = { localhost: ["127.0.0.1", "::1"], "": ["::", "0.0.0.0"] };

function serve(at: HostAndPort, handler: Handler, { onBug, onLost }: ListenWatch): LastingServer {
  const start = (port: number) => {
    const onError = (error: unknown) => {
      if (!(error instanceof ReaderStalled)) onBug(error);
      return new Response(null, { status: 500 });
    };
    return Deno.serve({ ...at, port, onListen() {}, onError }, handler);
  };
  return new LastingServer(start(at.port), start, onLost);
}

function take(at: HostAndPort): Listener {
  const listener = Deno.listen({ ...at });
  return { addr: listener.addr as Deno.NetAddr, shutdown: () => Promise.resolve(listener.close()) };
}

/** What `start` gives, or `undefined` if it fails because this machine needs none for this host. */
function unlessNeedless<T>(start: () => T, hostname: string, second: boolean): T | undefined {
  try {
    return start();
  } catch (error) {
    // The first server has this family too, as "::" has on Linux.
    if (error instanceof Deno.errors.AddrInUse && second && hostname === "0.0.0.0") return undefined;
    if (isFamilyMissing(error) && hostname.includes(":")) return undefined;
    throw error;
  }
}

function explained(error: unknown, bind: string): unknown {
  if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) return error;
  return new BusError("bad_option", `Cannot listen on ${bind}: ${error.message}`, { cause: error });
}

function isFamilyMissing(error: unknown): boolean {
  return error instanceof Deno.errors.AddrNotAvailable ||
    (error instanceof Error && /address family|os error 97|os error 10047|os error 47/i.test(error.message));
}

function nameOf({ host }: Address, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
