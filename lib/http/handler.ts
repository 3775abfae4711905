/**
 * The bus over HTTP: one function from a request to a response.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { type Clock, systemClock } from "../bus/clock.ts";
import { BusError, type ErrorCode, quote } from "../errors.ts";
import { assertPublishable, isEndpoint } from "../topic_name.ts";
import type { BackupSource } from "./backup.ts";
import { Endpoints } from "./endpoints.ts";
import { Exposure, type ExposureOptions } from "./exposure.ts";
import { TextLines } from "./encodings.ts";
import { checkHandshake, chooseProtocol, LINES_SUBPROTOCOL, upgrade } from "./handshake.ts";
import { type Head, lists, readHead, refusePublishOptions, type Route } from "./head.ts";
import { publish } from "./publish.ts";
import { SocketPublisher } from "./publish_ws.ts";
import { browse, noTopic, pull } from "./pull.ts";
import { SocketWorker } from "./push_group.ts";
import { StreamPush } from "./push_stream.ts";
import { SocketPush } from "./push_ws.ts";
import { type ReadRequest, readRequestOf } from "./read.ts";
import { Refusal } from "./refusal.ts";
import { emptyResponse, errorResponse } from "./respond.ts";
import { parametersOf, patternOf, type Target, targetOf, TopicNames } from "./target.ts";
import { TurnBudget } from "./turn_budget.ts";
import { deleteTopic, describeTopic, listTopics } from "./topics.ts";

/** How to serve a bus; everything has a default. */
export interface HandlerOptions extends ExposureOptions {
  /**
   * How long a subscriber may read nothing while there is something for it, in milliseconds, before it is detached.
   * Default 60 s.
   */
  readonly stallTimeoutMs?: number;
  /** Where time comes from. Default: the machine's clock. Give it the one the bus has. */
  readonly clock?: Clock;
  /** Refuses new requests with `draining` once it has aborted. */
  readonly draining?: AbortSignal;
  /**
   * Told of every request that is refused or fails as expected. `addressOf` gives the address it came from, if it is
   * called at once; the platform takes its time for that.
   */
  readonly onRefusal?: (error: BusError, addressOf: () => string) => void;
  /** Told of every message over a WebSocket that is refused: it has no answer that `onAnswer` would be told of. */
  readonly onMessageRefused?: (code: ErrorCode) => void;
  /** Told of every error that is not an expected condition; the request is answered with 500. Default: `reportError`. */
  readonly onBug?: (error: unknown) => void;
  /** Told `1` when a request begins and `-1` when its answer is made: what a server that drains has to wait for. */
  readonly onWork?: (change: 1 | -1) => void;
  /** Told what became of each request, when its answer is made. Default: nobody measures. */
  readonly onAnswer?: (answer: Answer) => void;
  /** What `GET /metrics` answers, in the text format of Prometheus. Default: there is no such endpoint. */
  readonly metrics?: () => string;
  /**
   * Makes what `GET /-/backup` hands out: everything the bus keeps, to everybody who may read. Default: there is no such
   * endpoint.
   */
  readonly backup?: BackupSource;
  /** Why the bus can't keep anything now, such as a full disk: `GET /-/ready` answers with it. Default: it always can. */
  readonly refusal?: () => BusError | undefined;
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
const ROUTES: Readonly<Record<ReadRequest["kind"], Route>> = {
  pull: "pull",
  browse: "pull",
  stream: "subscribe",
  socket: "subscribe",
  publisher: "publish",
  worker: "subscribe",
};
/** What a path has that asks for several topics: a comma or a star, percent-encoded or not. */
const SEVERAL = /[*,]|%2[AaCc]/;
const DEFAULT_STALL_TIMEOUT_MS = 60_000;

/**
 * Makes the handler that serves `bus` over HTTP. When the client of a stream that was detached because it read nothing
 * leaves, `Deno.serve` tells its `onError` of a `ReaderStalled`, or prints it: that one is no fault.
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
  const { draining, onRefusal, onBug = reportError, onWork, onAnswer, onMessageRefused } = options;
  const exposure = new Exposure(options);
  const names = new TopicNames();
  const { stallTimeoutMs: stallMs = DEFAULT_STALL_TIMEOUT_MS, clock = systemClock } = options;
  const budget = new TurnBudget(clock);
  const push = { stallMs, clock, budget, lines: new TextLines(budget) };
  const sockets = new SocketPush(bus, push);
  const streams = new StreamPush(bus, push);
  const { metrics, backup, refusal } = options;
  const endpoints = new Endpoints({ bus, metrics, backup, refusal, stallMs, clock });

  function answer(
    request: Request,
    head: Head,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
  ): Response | Promise<Response> {
    const { method } = request;
    if (!KNOWN_METHODS.includes(method)) throw new BusError("unknown_method", `Unknown method ${quote(method)}`);
    const host = exposure.admitHost(head);
    const target = targetOf(request.url, host, method);
    if (method === "OPTIONS") return preflight(head);
    exposure.admitOrigin(head);
    if (draining?.aborted) throw new BusError("draining", "The server is shutting down");
    // What was meant would not happen.
    if (head.unknownHeader !== undefined) {
      throw new BusError("unknown_header", `Unknown header ${quote(head.unknownHeader)}`);
    }
    if (method !== "PUT" && method !== "POST") refusePublishOptions(head);
    const isSocket = lists(head.upgrade, "websocket");
    if (isSocket && method !== "GET") throw notAllowed(method, "a WebSocket", "GET");
    if (target.path === "/" && !isSocket) return atRoot(method, head, target);
    const several = SEVERAL.test(target.path);
    if (method === "GET" && (isSocket || several)) return read(request, head, target, info, several);
    const name = names.of(target.path);
    if (isEndpoint(name)) return endpoints.answer(name, request, head, target.query);
    switch (method) {
      case "PUT":
      case "POST":
        head.route = "publish";
        return publish(bus, name, { request, head, query: target.query, clock });
      case "GET":
        return read(request, head, target, info, several);
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

  function read(
    request: Request,
    head: Head,
    { path, query }: Target,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
    several: boolean,
  ): Response | Promise<Response> {
    const asked = readRequestOf(head, query, clock);
    head.route = ROUTES[asked.kind];
    if (several && (asked.kind === "pull" || asked.kind === "browse" || asked.kind === "worker")) {
      const hint = "lists and wildcards can only be subscribed to: add format=ndjson or format=sse";
      throw new BusError("bad_topic", `Bad topic name ${quote(path)}: ${hint}`);
    }
    switch (asked.kind) {
      case "pull":
        return pull(bus, names.of(path), { ...asked, signal: asked.waitMs > 0 ? request.signal : undefined });
      case "browse":
        return browse(bus, names.of(path), { ...asked, signal: asked.waitMs > 0 ? request.signal : undefined });
      case "stream":
        return streams.subscribe(topicsOf(path), asked.format, { since: asked.since, label: addressOf(info) });
      case "socket": {
        checkHandshake(head);
        const { protocol, frames } = chooseProtocol(head, asked.frames);
        const topics = topicsOf(path);
        const reader = sockets.subscribe(topics, { since: asked.since, label: addressOf(info), frames });
        return upgrade(request, protocol, (socket) => reader.serve(socket), () => reader.leave());
      }
      case "publisher": {
        checkHandshake(head);
        const { protocol, frames } = chooseProtocol(head, asked.frames);
        const topic = names.of(path);
        assertPublishable(topic);
        const refused = refusing(info);
        return upgrade(request, protocol, (socket) => {
          new SocketPublisher(bus, topic, socket, { frames, draining, onRefusal: refused, onBug, stallMs, clock });
        });
      }
      case "worker": {
        checkHandshake(head);
        const { protocol, frames } = chooseProtocol(head, asked.frames);
        if (frames === "plain") {
          const hint = `use the subprotocol ${quote(LINES_SUBPROTOCOL)}, or frames=ndjson`;
          throw new BusError("bad_parameter", `Bad query parameter "group": leases come in frames of lines; ${hint}`);
        }
        const topic = names.of(path);
        if (isEndpoint(topic)) throw noTopic(topic);
        // What is published as soon as the client has the answer to its handshake is not before the group begins.
        bus.makeGroup(topic, asked);
        const refused = refusing(info);
        return upgrade(request, protocol, (socket) => {
          new SocketWorker(bus, topic, socket, {
            ...asked,
            draining,
            onRefusal: refused,
            onBug,
            stallMs,
            clock,
            budget,
          });
        });
      }
    }
  }

  /** Who is told of what a socket is refused. */
  function refusing(info: Deno.ServeHandlerInfo<Deno.Addr>): (error: BusError) => void {
    // Now: later the platform doesn't know it any more.
    const address = addressOf(info);
    return (error) => {
      onRefusal?.(error, () => address);
      onMessageRefused?.(error.code);
    };
  }

  /** What a path subscribes to. */
  function topicsOf(path: string): string {
    const { text, items } = patternOf(path);
    const endpoint = items.find(isEndpoint);
    if (endpoint !== undefined) throw noTopic(endpoint);
    return text;
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
    return errorResponse(error, head.accept, error instanceof Refusal ? error.headers : {});
  }

  /** Lets pages of allowed origins read the answer. */
  function withOrigin(response: Response, head: Head): Response {
    if (head.origin === undefined || response.status === 101) return response;
    response.headers.append("vary", "origin");
    if (exposure.allowsOrigin(head)) {
      response.headers.set("access-control-allow-origin", head.origin);
      // Those that the message has are among them.
      const own = [...response.headers.keys()].filter((name) => name.startsWith("msgbus-"));
      if (own.length > 0) response.headers.set("access-control-expose-headers", own.join(", "));
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

function notAllowed(method: string, what: string, allowed = TOPIC_METHODS): Refusal {
  return new Refusal("method_not_allowed", `Method ${method} is not allowed on ${what}`, { "allow": allowed });
}

function addressOf(info: Deno.ServeHandlerInfo<Deno.Addr>): string {
  const address = info.remoteAddr;
  if (address.transport !== "tcp" && address.transport !== "udp") return address.transport;
  return address.hostname.includes(":")
    ? `[${address.hostname}]:${address.port}`
    : `${address.hostname}:${address.port}`;
}
