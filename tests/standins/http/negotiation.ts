/**
 * Stand-in for `@std/http/negotiation` over negotiator, which the real one descends from.
 *
 * @module
 */

import Negotiator from "npm:negotiator@~1.0.0";

/** The media types that a request accepts, best first. */
export function accepts(request: Pick<Request, "headers">): string[];
/** The one of `types` that a request prefers; `undefined` if it accepts none. */
export function accepts(request: Pick<Request, "headers">, ...types: string[]): string | undefined;
export function accepts(request: Pick<Request, "headers">, ...types: string[]): string | string[] | undefined {
  // An empty Accept counts as none.
  const accept = request.headers.get("accept") || undefined;
  const negotiator = new Negotiator({ headers: { accept } });
  return types.length > 0 ? negotiator.mediaTypes(types)[0] : negotiator.mediaTypes();
}
