/**
 * The endpoints of the server: everything under `/-/`, and `/metrics`. None of them is a topic.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { BusError, quote } from "../errors.ts";
import { VERSION } from "../version.ts";
import { backupEndpoints, type BackupOptions, type BackupSource } from "./backup.ts";
import { groupEndpoints } from "./groups.ts";
import { type Head, refusePublishOptions } from "./head.ts";
import { Refusal } from "./refusal.ts";
import { jsonResponse, METRICS_TEXT, prefersJson, respond, textResponse } from "./respond.ts";
import { requestEndpoints } from "./requests.ts";
import { scheduledEndpoints } from "./scheduled.ts";
import { parametersOf } from "./target.ts";

/** What endpoints work with. */
export interface EndpointParts extends BackupOptions {
  /** The bus. */
  readonly bus: MessageBus;
  /** What `GET /-/backup` hands out; without it there is no such endpoint. */
  readonly backup: BackupSource | undefined;
  /** Why the bus can't keep anything now, if it can't; `GET /-/ready` answers with it. */
  readonly refusal: (() => BusError | undefined) | undefined;
  /** What `GET /metrics` answers; without it there is no such endpoint. */
  readonly metrics: (() => string) | undefined;
}

/** A request to an endpoint. */
export interface EndpointRequest {
  /** The request itself, for its body. */
  readonly request: Request;
  /** Its head. */
  readonly head: Head;
  /** Its query parameters, all of them known to the action. */
  readonly parameters: ReadonlyMap<string, string>;
  /** What follows the path of an endpoint that ends with a slash: one segment, not empty. Else it is empty. */
  readonly rest: string;
}

/** What one method of an endpoint does. */
export interface Action {
  /** The query parameters it knows. Default: none. */
  readonly parameters?: readonly string[];
  /** Answers a request. */
  run(request: EndpointRequest): Response | Promise<Response>;
}

/** The methods of an endpoint; what `GET` does is done for `HEAD`, too. */
export type Endpoint = Readonly<Partial<Record<"GET" | "PUT" | "POST" | "DELETE", Action>>>;

/** The endpoints by their names as topics would have them, without the first slash. */
function tableOf(parts: EndpointParts): Readonly<Record<string, Endpoint>> {
  const { bus, metrics, backup, refusal } = parts;
  return {
    "-/health": { GET: { run: () => textResponse(200, "ok") } },
    "-/ready": {
      GET: {
        run() {
          const reason = refusal?.();
          if (reason !== undefined) throw reason;
          return textResponse(200, "ready");
        },
      },
    },
    "-/version": {
      GET: {
        run: ({ head }) =>
          prefersJson(head.accept)
            ? jsonResponse(200, JSON.stringify({ version: VERSION }))
            : textResponse(200, VERSION),
      },
    },
    ...groupEndpoints(bus),
    ...scheduledEndpoints(bus),
    ...requestEndpoints(bus),
    ...backupEndpoints(backup, parts),
    ...(metrics === undefined ? {} : { metrics: { GET: { run: () => respond(200, metrics(), METRICS_TEXT) } } }),
  };
}

/** Finds the endpoint that a request is for. */
export class Endpoints {
  readonly #byName: ReadonlyMap<string, Endpoint>;

  /** Makes the endpoints of one server. */
  constructor(parts: EndpointParts) {
    this.#byName = new Map(Object.entries(tableOf(parts)));
  }

  /** The names of all, those that take a segment more with a slash at the end. */
  get names(): string[] {
    return [...this.#byName.keys()];
  }

  /**
   * Answers a request for the endpoint of this canonical name.
   *
   * @throws {BusError} `no_endpoint`, `method_not_allowed`, `unknown_header`, `unknown_parameter`, `bad_parameter`, and what the endpoint
   * throws.
   */
  answer(name: string, request: Request, head: Head, query: string | undefined): Response | Promise<Response> {
    refusePublishOptions(head);
    const { method } = request;
    const slash = name.lastIndexOf("/") + 1;
    const whole = this.#byName.get(name);
    const endpoint = whole ?? this.#byName.get(name.slice(0, slash));
    if (endpoint === undefined) throw new BusError("no_endpoint", `No endpoint ${quote(`/${name}`)}`);
    const action = actionOf(endpoint, method);
    if (action === undefined) {
      throw new Refusal("method_not_allowed", `Method ${method} is not allowed on ${quote(`/${name}`)}`, {
        "allow": methodsOf(endpoint).join(", "),
      });
    }
    const parameters = parametersOf(query, action.parameters ?? []);
    return action.run({ request, head, parameters, rest: whole === undefined ? name.slice(slash) : "" });
  }
}

function actionOf(endpoint: Endpoint, method: string): Action | undefined {
  switch (method) {
    case "GET":
    case "HEAD":
      return endpoint.GET;
    case "PUT":
    case "POST":
    case "DELETE":
      return endpoint[method];
  }
  return undefined;
}

function methodsOf(endpoint: Endpoint): string[] {
  return [...Object.keys(endpoint).flatMap((method) => method === "GET" ? ["GET", "HEAD"] : method), "OPTIONS"];
}

/**
 * A query parameter that an endpoint can't do without.
 *
 * @throws {BusError} `bad_parameter` if it is missing.
 */
export function demanded(parameters: ReadonlyMap<string, string>, name: string): string {
  const value = parameters.get(name);
  if (value === undefined) throw new BusError("bad_parameter", `Query parameter ${quote(name)} is missing`);
  return value;
}
