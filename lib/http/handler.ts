/**
 * The bus over HTTP: one function from a request to a response.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { BusError, type ErrorCode, quote } from "../errors.ts";
import { isEndpoint } from "../topic_name.ts";
import { VERSION } from "../version.ts";
import { Exposure, type ExposureOptions } from "./exposure.ts";
import { type Head, lists, readHead, type Route } from "./head.ts";
import { publish } from "./publish.ts";
import { noTopic, pull } from "./pull.ts";
import { SocketPush } from "./push_ws.ts";
import {
  emptyResponse,
  errorResponse,
  jsonResponse,
  METRICS_TEXT,
  prefersJson,
  respond,
  textResponse,
} from "./respond.ts";
import { parametersOf, type Target, targetOf, TopicNames } from "./target.ts";
import { deleteTopic, describeTopic, listTopics } from "./topics.ts";

/** How to serve a bus; everything has a default. */
export interface HandlerOptions extends ExposureOptions {
  /** Refuses new requests with `draining` once it has aborted. */
  readonly draining?: AbortSignal;
  /**
   * Told of every request that is refused or fails as expected. `addressOf` gives the address it came from, if it is
   * called at once; the platform takes its time for that.
   */
  readonly onRefusal?: (error: BusError, addressOf: () => string) => void;
  /** Told of every error that is not an expected condition; the request is answered with 500. Default: `reportError`. */
  readonly onBug?: (error: unknown) => void;
  /** Told `1` when a request begins and `-1` when its answer is made: what a server that drains has to wait for. */
  readonly onWork?: (change: 1 | -1) => void;
  /** Told what became of each request, when its answer is made. Default: nobody measures. */
  readonly onAnswer?: (answer: Answer) => void;
  /** What `GET /metrics` answers, in the text format of Prometheus. Default: there is no such endpoint. */
  readonly metrics?: () => string;
}

/** What became of a request. */
export interface Answer {
  /** Its method, whatever the client made up. */
  readonly method: string;
  /** What kind of request it was; `other` too if it was refused before that was known. */
  readonly route: Route;
  /** The status of the answer. */
  readonly status: number;
  /** Why it was refused, or failed; `undefined` if it was not. */
  readonly error: ErrorCode | undefined;
  /** How long it took to make the answer: for a subscription, to begin it. */
  readonly seconds: number;
}

/** Serves HTTP requests; give it to `Deno.serve`. */
export type Handler = (
  request: Request,
  info: Deno.ServeHandlerInfo<Deno.Addr>,
) => Response | Promise<Response>;

const KNOWN_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];
const TOPIC_METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
const READ_METHODS = "GET, HEAD, OPTIONS";
const EXPOSED_HEADERS = "msgbus-bytes, msgbus-count, msgbus-created, msgbus-cursor, msgbus-durability, msgbus-error, " +
  "msgbus-id, msgbus-length, msgbus-pending, msgbus-seq, msgbus-subscribers, msgbus-ttl";

/**
 * Makes the handler that serves `bus` over HTTP.
 *
 * @example
 * ```ts ignore
 * import { createHandler, MessageBus } from "@msgbus/msgbus";
 *
 * const bus = new MessageBus();
 * Deno.serve({ hostname: "127.0.0.1", port: 8000 }, createHandler(bus));
 * ```
 */
export function createHandler(bus: MessageBus, options: HandlerOptions = {}): Handler {
  const { draining, onRefusal, onBug = reportError, onWork, onAnswer, metrics } = options;
  const exposure = new Exposure(options);
  const names = new TopicNames();
  const push = new SocketPush(bus);

  function answer(
    request: Request,
    head: Head,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response> {
    const { method } = request;
    if (!KNOWN_METHODS.includes(method)) throw new BusError("unknown_method", `Unknown method ${quote(method)}`);
    const host = exposure.admitHost(head);
    const target = targetOf(request.url, host);
    if (method === "OPTIONS") return preflight(head);
    exposure.admitOrigin(head);
    if (draining?.aborted) throw new BusError("draining", "The server is shutting down");
    // What was meant would not happen.
    if (head.unknownHeader !== undefined) {
      throw new BusError("unknown_header", `Unknown header ${quote(head.unknownHeader)}`);
    }
    if (lists(head.upgrade, "websocket")) {
      head.route = "subscribe";
      if (method !== "GET") throw notAllowed(method, "a WebSocket", "GET");
      parametersOf(target.query, []);
      return push.subscribe(topicOf(target), request, head, addressOf(info));
    }
    if (target.path === "/") return atRoot(method, head, target);
    const name = names.of(target.path);
    // Publishing there is refused with all of the server's own names.
    if (isEndpoint(name) && method !== "PUT" && method !== "POST") return atEndpoint(method, name, head, target);
    switch (method) {
      case "PUT":
      case "POST":
        head.route = "publish";
        return publish(bus, name, request, head, target.query);
      case "GET":
        head.route = "pull";
        return pull(bus, name, target.query);
    }
    parametersOf(target.query, []);
    switch (method) {
      case "HEAD":
        return describeTopic(bus, name);
      case "DELETE":
        return deleteTopic(bus, name);
      default:
        throw notAllowed(method, "a topic");
    }
  }

  function atRoot(method: string, head: Head, target: Target): Response {
    if (method !== "GET" && method !== "HEAD") throw notAllowed(method, "/", READ_METHODS);
    parametersOf(target.query, []);
    return listTopics(bus, head);
  }

  function topicOf({ path }: Target): string {
    const name = names.of(path);
    if (isEndpoint(name)) throw noTopic(name);
    return name;
  }

  function atEndpoint(method: string, name: string, head: Head, target: Target): Response {
    if (method !== "GET" && method !== "HEAD") throw notAllowed(method, `/${name}`, READ_METHODS);
    parametersOf(target.query, []);
    if (name === "metrics" && metrics !== undefined) return respond(200, metrics(), METRICS_TEXT);
    switch (name) {
      case "-/health":
        return textResponse(200, "ok");
      case "-/version":
        return prefersJson(head.accept)
          ? jsonResponse(200, JSON.stringify({ version: VERSION }))
          : textResponse(200, VERSION);
      default:
        throw new BusError("no_endpoint", `No endpoint ${quote(`/${name}`)}`);
    }
  }

  /** A page of a refused origin learns nothing here, so its browser doesn't send the request itself. */
  function preflight(head: Head): Response {
    const headers: Record<string, string> = { "allow": TOPIC_METHODS };
    if (exposure.allowsOrigin(head)) {
      headers["access-control-allow-methods"] = TOPIC_METHODS;
      headers["access-control-allow-headers"] = "*";
      headers["access-control-max-age"] = "600";
    }
    return emptyResponse(204, headers);
  }

  function failed(error: unknown, head: Head, info: Deno.ServeHandlerInfo<Deno.Addr>): Response {
    head.error = error instanceof BusError ? error.code : "internal";
    if (!(error instanceof BusError)) {
      onBug(error);
      return errorResponse(new BusError("internal", "Internal error"), head.accept);
    }
    onRefusal?.(error, () => addressOf(info));
    const headers: Record<string, string> = {};
    if (error instanceof MethodNotAllowed) headers["allow"] = error.allowed;
    if (error.code === "upgrade_required") {
      headers["sec-websocket-version"] = "13";
      headers["upgrade"] = "websocket";
    }
    return errorResponse(error, head.accept, headers);
  }

  /** Lets pages of allowed origins read the answer. */
  function withOrigin(response: Response, head: Head): Response {
    if (head.origin === undefined || response.status === 101) return response;
    response.headers.append("vary", "origin");
    if (exposure.allowsOrigin(head)) {
      response.headers.set("access-control-allow-origin", head.origin);
      response.headers.set("access-control-expose-headers", EXPOSED_HEADERS);
    }
    return response;
  }

  // Not async: every further promise between a request and its answer shows in the number of requests a second.
  return (request, info) => {
    const startedMs = onAnswer === undefined ? 0 : performance.now();
    onWork?.(1);
    const head = readHead(request.headers);
    // Now: one whose client has gone meanwhile no longer tells.
    const { method } = request;
    const finished = (response: Response) => {
      onWork?.(-1);
      if (onAnswer !== undefined) {
        const { route = "other", error } = head;
        onAnswer({ method, route, status: response.status, error, seconds: (performance.now() - startedMs) / 1000 });
      }
      return withOrigin(response, head);
    };
    let answered: Response | Promise<Response>;
    try {
      answered = answer(request, head, info);
    } catch (error) {
      answered = failed(error, head, info);
    }
    if (answered instanceof Response) return finished(answered);
    return answered.then(finished, (error) => finished(failed(error, head, info)));
  };
}

class MethodNotAllowed extends BusError {
  readonly allowed: string;

  constructor(message: string, allowed: string) {
    super("method_not_allowed", message);
    this.allowed = allowed;
  }
}

function notAllowed(method: string, what: string, allowed = TOPIC_METHODS): MethodNotAllowed {
  return new MethodNotAllowed(`Method ${method} is not allowed on ${what}`, allowed);
}

function addressOf(info: Deno.ServeHandlerInfo<Deno.Addr>): string {
  const address = info.remoteAddr;
  if (address.transport !== "tcp" && address.transport !== "udp") return address.transport;
  return address.hostname.includes(":")
    ? `[${address.hostname}]:${address.port}`
    : `${address.hostname}:${address.port}`;
}
