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
  const address = splitAddress(bind)!;
  const hosts = HOSTS[address.host.toLowerCase()] ?? [address.host];
  // With port 0 the port that one family gives may be taken in the other.
  for (let attempt = 1;; attempt++) {
    const servers: LastingServer[] = [];
    try {
      for (const hostname of hosts) {
        const port = servers[0]?.addr.port ?? address.port;
        const server = serve({ hostname, port }, handler, watch, servers.length > 0);
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

function serve(
  at: { hostname: string; port: number },
  handler: Handler,
  { onBug, onLost }: ListenWatch,
  second: boolean,
): LastingServer | undefined {
  const start = (port: number) => {
    const onError = (error: unknown) => {
      if (!(error instanceof ReaderStalled)) onBug(error);
      return new Response(null, { status: 500 });
    };
    return Deno.serve({ ...at, port, onListen() {}, onError }, handler);
  };
  try {
    return new LastingServer(start(at.port), start, onLost);
  } catch (error) {
    // The first server has this family too, as "::" has on Linux.
    if (error instanceof Deno.errors.AddrInUse && second && at.hostname === "0.0.0.0") return undefined;
    if (isFamilyMissing(error) && at.hostname.includes(":")) return undefined;
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
