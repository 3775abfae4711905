/**
 * The requests of a client, and what is not an answer of msgbusd.
 *
 * @module
 */

import { BusError, type ErrorCode } from "../errors.ts";
import { refusalOf, unreachable } from "./failure.ts";

/** What every request takes. */
export interface RequestOptions {
  /** Gives the request up when it aborts; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a request may have besides. */
export interface RequestInitOptions extends RequestOptions {
  /** Its body. */
  readonly body?: Uint8Array<ArrayBuffer> | string;
  /** Its headers, besides `Accept`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** As the platform's `fetch`, as far as it is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Sends requests to one bus. Throws a {@linkcode BusError} for everything that is not the answer asked for. */
export class Requests {
  /** The base URI of the bus, without a slash at its end. */
  readonly uri: string;
  readonly #fetch: Fetch;

  /** Sends nothing yet. */
  constructor(uri: string, fetch: Fetch) {
    this.uri = uri;
    this.#fetch = fetch;
  }

  /** The answer to a request, whatever it is. */
  async send(method: string, path: string, init: RequestInitOptions = {}): Promise<Response> {
    const { body, signal } = init;
    try {
      const headers = { ...init.headers, accept: "application/json" };
      return await this.#fetch(this.uri + path, { method, headers, redirect: "manual", body, signal });
    } catch (cause) {
      throw signal?.aborted ? cause : unreachable(this.uri, cause);
    }
  }

  /** The answer to a request that must succeed. */
  async demand(method: string, path: string, init: RequestInitOptions): Promise<Response> {
    const response = await this.send(method, path, init);
    if (!response.ok) throw await refusalOf(response);
    return response;
  }

  /** The answer to a request, or `undefined` if it says that there is nothing. */
  async ask(method: string, path: string, init: RequestInitOptions): Promise<Response | undefined> {
    const response = await this.send(method, path, init);
    if (isMissing(response)) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  }

  /** The headers of an answer and its body; no body if it says that there is nothing. */
  async read(path: string, options: RequestOptions): Promise<{ headers: Headers; body: string | undefined }> {
    const response = await this.send("GET", path, options);
    const { headers } = response;
    if (isMissing(response)) {
      await response.body?.cancel();
      return { headers, body: undefined };
    }
    if (!response.ok) throw await refusalOf(response);
    return { headers, body: await this.text(response, options) };
  }

  /** The body of an answer. */
  async text(response: Response, { signal }: RequestOptions): Promise<string> {
    try {
      return await response.text();
    } catch (cause) {
      throw signal?.aborted ? cause : unreachable(this.uri, cause);
    }
  }

  /** The body of an answer, as it is. */
  async bytes(response: Response, { signal }: RequestOptions): Promise<Uint8Array> {
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw signal?.aborted ? cause : unreachable(this.uri, cause);
    }
  }

  /** The body of an answer, parsed. */
  async json(response: Response, options: RequestOptions): Promise<unknown> {
    const text = await this.text(response, options);
    try {
      return JSON.parse(text);
    } catch {
      throw this.unexpected(response, text === "" ? "nothing" : "no JSON");
    }
  }

  /** The error of an answer that is no answer of msgbusd. */
  unexpected(response: Response, what: string): BusError {
    return new BusError("unexpected_answer", `${this.uri} answers ${response.status} with ${what}: is it msgbusd?`);
  }
}

const MISSING: readonly (string | null)[] = ["no_topic", "empty", "no_group", "no_scheduled"] satisfies ErrorCode[];

/** Whether the answer says that there is nothing, and not that something is wrong. */
export function isMissing(response: Response): boolean {
  return response.status === 404 && MISSING.includes(response.headers.get("msgbus-error"));
}
