/**
 * Who may ask at all. A `GET` that takes a message must not be open to every web page a person visits (CSRF), nor to
 * one that resolves its name to a loopback address (DNS rebinding), nor to the network by way of a forgotten proxy.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Head } from "./head.ts";

/** How far a server is open; see `docs/operations.md`. */
export interface ExposureOptions {
  /**
   * Whether the server listens beyond the loopback addresses. If not, `Host` must name a loopback address or one of
   * `publicHosts`, and a request that came through a proxy is refused unless `trustProxy`. Default `false`.
   */
  readonly open?: boolean;
  /** Host names, without port, that the server is reached by besides the loopback ones. Default: none. */
  readonly publicHosts?: readonly string[];
  /** Whether requests may come through a proxy. Default `false`. */
  readonly trustProxy?: boolean;
  /** Origins, such as `https://app.example`, whose pages may use the bus; `*` is every one. Default: none. */
  readonly allowOrigins?: readonly string[];
}

const HOST = /^(?:([a-z0-9._~-]{1,253})|\[([0-9a-f:.]{2,45})\])(?::[0-9]{1,5})?$/;
const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/;
const MAX_REMEMBERED = 256;

/** The host name of `host[:port]`, in lower case and without brackets; `undefined` if it breaks the grammar. */
export function hostNameOf(host: string): string | undefined {
  const match = HOST.exec(host.toLowerCase());
  return match === null ? undefined : match[1] ?? match[2];
}

/** Whether a host name, as {@linkcode hostNameOf} gives it, means this machine to itself. */
export function isLoopback(name: string): boolean {
  return name === "localhost" || name === "::1" || LOOPBACK_V4.test(name);
}

type HostVerdict = { readonly name: string; readonly refusal?: undefined } | { readonly refusal: () => BusError };

/** Judges requests by where they claim to come from and to go to. */
export class Exposure {
  readonly #open: boolean;
  readonly #publicHosts: ReadonlySet<string>;
  readonly #trustProxy: boolean;
  readonly #anyOrigin: boolean;
  readonly #allowOrigins: ReadonlySet<string>;
  readonly #verdicts = new Map<string, HostVerdict>();

  /** Makes the judge for one server. */
  constructor(options: ExposureOptions = {}) {
    this.#open = options.open ?? false;
    this.#publicHosts = new Set(options.publicHosts?.map((host) => host.toLowerCase()));
    this.#trustProxy = options.trustProxy ?? false;
    this.#anyOrigin = options.allowOrigins?.includes("*") ?? false;
    this.#allowOrigins = new Set(options.allowOrigins?.map((origin) => origin.toLowerCase()));
  }

  /**
   * The `Host` of a request that may go to this server.
   *
   * @throws {BusError} `bad_host`, `host_not_allowed`, `proxied`.
   */
  admitHost(head: Head): string {
    const { host } = head;
    if (host === undefined) throw new BusError("bad_host", "Bad request: no Host header (only HTTP/1.1 is served)");
    const { refusal } = this.#judge(host);
    if (refusal !== undefined) throw refusal();
    if (head.proxyHeader !== undefined && !this.#open && !this.#trustProxy) {
      throw new BusError(
        "proxied",
        `Refused: the request came through a proxy (${head.proxyHeader}); allow it with --trust-proxy`,
      );
    }
    return host;
  }

  /**
   * Whether the request's origin, if it has one, may use the bus.
   *
   * @throws {BusError} `origin_not_allowed`, `cross_site`.
   */
  admitOrigin(head: Head): void {
    const { origin, site, purpose } = head;
    if (origin === undefined && site === undefined && purpose === undefined) return;
    if (origin !== undefined && !this.allowsOrigin(head)) {
      // A page without an origin, such as a file's, can't be named.
      const remedy = origin === "null" ? "--allow-origin '*'" : "--allow-origin";
      throw new BusError(
        "origin_not_allowed",
        `Refused: pages of ${quote(origin)} may not use this bus; allow them with ${remedy}`,
      );
    }
    // What a page embeds or navigates to sends no Origin; the browser says where it comes from all the same.
    if (origin === undefined && !this.#anyOrigin && this.#isForeignSite(head)) {
      throw new BusError(
        "cross_site",
        `Refused: the request comes from another site (Sec-Fetch-Site: ${quote(site!)})`,
      );
    }
    if (purpose !== undefined && purpose.includes("prefetch")) {
      throw new BusError("cross_site", "Refused: a prefetch must not take a message");
    }
  }

  /** Whether pages of the request's `Origin` may use the bus; `false` without one. */
  allowsOrigin(head: Head): boolean {
    const origin = head.origin?.toLowerCase();
    if (origin === undefined) return false;
    if (this.#anyOrigin || this.#allowOrigins.has(origin)) return true;
    const authority = authorityOf(origin);
    const name = authority === undefined ? undefined : hostNameOf(authority);
    if (name === undefined) return false;
    if (isLoopback(name) || this.#publicHosts.has(name)) return true;
    return authority === head.host?.toLowerCase() && this.#judge(head.host!).refusal === undefined;
  }

  #isForeignSite(head: Head): boolean {
    if (head.site === "cross-site") return true;
    // On a loopback address "same site" is another port of this machine; elsewhere it may be somebody else's subdomain.
    if (head.site !== "same-site") return false;
    const verdict = this.#judge(head.host ?? "");
    return verdict.refusal !== undefined || !isLoopback(verdict.name);
  }

  #judge(host: string): HostVerdict {
    let verdict = this.#verdicts.get(host);
    if (verdict === undefined) {
      verdict = this.#judgeAfresh(host);
      if (this.#verdicts.size >= MAX_REMEMBERED) this.#verdicts.clear();
      this.#verdicts.set(host, verdict);
    }
    return verdict;
  }

  #judgeAfresh(host: string): HostVerdict {
    const name = hostNameOf(host);
    if (name === undefined) return { refusal: () => new BusError("bad_host", `Bad Host header ${quote(host)}`) };
    if (this.#open || isLoopback(name) || this.#publicHosts.has(name)) return { name };
    return {
      refusal: () =>
        new BusError("host_not_allowed", `Refused: this server is not ${quote(host)}; allow it with --public-host`),
    };
  }
}

/** The `host[:port]` of an origin; `undefined` for `null` and whatever else is not a web page's origin. */
function authorityOf(origin: string): string | undefined {
  for (const scheme of ["http://", "https://"]) {
    if (origin.startsWith(scheme)) return origin.slice(scheme.length);
  }
  return undefined;
}
