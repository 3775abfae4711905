/**
 * A client of msgbusd, for every runtime with `fetch` and `WebSocket`.
 *
 * @module
 */

import type { TopicStats } from "../bus/answers.ts";
import { BusError, quote } from "../errors.ts";
import { epochOf, formatCursor, type Message } from "../message.ts";
import { canonicalTopicName, isEndpoint } from "../topic_name.ts";
import { parseDuration } from "../wire/duration.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { refusalOf, unreachable } from "./failure.ts";
import {
  type ClientSubscribeOptions,
  type ClientSubscription,
  type Failure,
  SocketSubscription,
} from "./subscription.ts";

/** How a {@linkcode Client} works; everything has a default. */
export interface ClientOptions {
  /** Makes the requests, subscriptions excepted. Default: the platform's `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** What every request takes. */
export interface RequestOptions {
  /** Gives the request up when it aborts; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How to publish. */
export interface PublishOptions extends RequestOptions {
  /**
   * `lines` makes each line of the payload a message: without its line end (LF or CR LF), and not the empty ones. All
   * of them or none are published, with consecutive ids. Default: the payload is one message.
   */
  readonly split?: "lines";
}

/** The answer to a publish: it is acknowledged. */
export interface PublishReceipt {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The id of the message; of the first one, if several were published at once. */
  readonly id: number;
  /** How many messages were published; their ids are consecutive. */
  readonly count: number;
  /** The position after the (last) message, `<n>@<epoch>`. */
  readonly cursor: string;
  /** What the acknowledged messages have survived; `memory`, or a word of a server that promises more. */
  readonly durability: string;
  /** How many subscriptions the topic has. */
  readonly subscribers: number;
}

const NS_PER_MS = 1_000_000;
const TRANSIENT = [408, 425, 429];
const encoder = new TextEncoder();

/**
 * A client of a message bus that msgbusd serves. It holds no connection of its own, so there is nothing to close but
 * subscriptions.
 *
 * All methods throw a {@linkcode BusError}: with the server's code for what it refuses, `bad_topic`, `not_nfc` or
 * `reserved` for a name that can't be a topic's, `unreachable` if there is no answer, `unexpected_answer` if it is not
 * one of msgbusd. Nothing is retried: whether a publish or a pull without an answer has happened can't be known.
 * Redirects are not followed, because a publish would become a pull on the way.
 *
 * @example
 * ```ts ignore
 * import { Client } from "@msgbus/msgbus";
 *
 * const client = new Client("http://localhost:8000");
 * await client.publish("foo", "Hello World!");
 * const message = await client.pull("foo");
 * if (message) console.log(`id=${message.id} topic=${message.topic.name} payload=${message.text()}`);
 * ```
 */
export class Client {
  /** The base URI of the bus, without a slash at its end. */
  readonly uri: string;
  readonly #fetch: (url: string, init: RequestInit) => Promise<Response>;

  /**
   * Makes a client of the bus at `uri`, for example `http://localhost:8000` or, behind a proxy, `https://example.org/bus`.
   *
   * @throws {BusError} `bad_option` if it is not an `http:` or `https:` URI, or has a user, a query or a fragment.
   */
  constructor(uri: string | URL, options: ClientOptions = {}) {
    this.uri = baseOf(String(uri));
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
  }

  /**
   * Publishes a message, or several with consecutive ids, all or none. A text is encoded in UTF-8. Makes the topic if
   * need be.
   *
   * Several payloads go as lines of one request: the server splits nothing but lines, so none of them may be empty or
   * contain a line feed. Publish such payloads one by one.
   *
   * @throws {BusError} `bad_request` for several payloads of which one is empty or contains a line feed, and for none;
   * `too_large`, `topic_full`, `too_many_topics`, `overloaded`, `draining`, or as every method. A refused publish
   * takes no id.
   */
  async publish(
    topic: string,
    payload: string | Uint8Array | readonly (string | Uint8Array)[],
    options: PublishOptions = {},
  ): Promise<PublishReceipt> {
    const path = pathOf(topic);
    const several = typeof payload !== "string" && !(payload instanceof Uint8Array);
    const body = several ? joinLines(payload) : bytesOf(payload);
    const query = several || options.split === "lines" ? "?split=lines" : "";
    const response = await this.#send("POST", path + query, { body, signal: options.signal });
    if (!response.ok) throw await refusalOf(response);
    const receipt = await this.#json(response, options);
    if (!isReceipt(receipt)) throw this.#unexpected(response, "no receipt");
    const { topic: name, id, count = 1, cursor, durability, subscribers } = receipt;
    return { topic: name, id, count, cursor, durability, subscribers };
  }

  /**
   * Takes the next message of a topic's queue, or `undefined` if there is none or no such topic. At most one caller ever
   * gets a message this way; if the answer is lost on its way, nobody does.
   */
  async pull(topic: string, options: RequestOptions = {}): Promise<Message | undefined> {
    const response = await this.#send("GET", pathOf(topic), options);
    if (await isMissing(response)) return undefined;
    if (!response.ok) throw await refusalOf(response);
    return decodeEnvelope(await this.#text(response, options));
  }

  /** All topics as they are now, sorted by name. */
  async topics(options: RequestOptions = {}): Promise<TopicStats[]> {
    const response = await this.#send("GET", "/", options);
    if (!response.ok) throw await refusalOf(response);
    const topics = await this.#json(response, options);
    if (typeof topics !== "object" || topics === null) throw this.#unexpected(response, "no topics");
    return Object.values(topics).map((topic) => {
      if (!isWireTopic(topic)) throw this.#unexpected(response, "a topic that is none");
      const { name, ttl, created, seq, length, pending, bytes, subscribers } = topic;
      const createdMs = Date.parse(created);
      const cursor = formatCursor(seq, epochOf(createdMs));
      return { name, ttlMs: ttl / NS_PER_MS, createdMs, seq, cursor, length, pending, bytes, subscribers };
    }).sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  /** A topic as it is now, or `undefined` if it doesn't exist. Takes nothing from it. */
  async topic(name: string, options: RequestOptions = {}): Promise<TopicStats | undefined> {
    const response = await this.#send("HEAD", pathOf(name), options);
    if (await isMissing(response)) return undefined;
    if (!response.ok) throw await refusalOf(response);
    const text = (header: string) => response.headers.get(`msgbus-${header}`) ?? "";
    const number = (header: string) => /^[0-9]+$/.test(text(header)) ? Number(text(header)) : NaN;
    const stats: TopicStats = {
      name: canonicalTopicName(name),
      ttlMs: parseDuration(text("ttl")) ?? NaN,
      createdMs: Date.parse(text("created")),
      seq: number("seq"),
      cursor: text("cursor"),
      length: number("length"),
      pending: number("pending"),
      bytes: number("bytes"),
      subscribers: number("subscribers"),
    };
    if (Object.values(stats).some(Number.isNaN)) throw this.#unexpected(response, "no topic");
    return stats;
  }

  /** Deletes a topic with everything in it and ends its subscriptions. Resolves to whether there was one. */
  async delete(topic: string, options: RequestOptions = {}): Promise<boolean> {
    const response = await this.#send("DELETE", pathOf(topic), options);
    if (await isMissing(response)) return false;
    if (!response.ok) throw await refusalOf(response);
    await response.body?.cancel();
    return true;
  }

  /**
   * Subscribes to the messages of a topic, which need not exist yet. Connects at once, and again whenever the
   * connection is lost; see {@linkcode ClientSubscribeOptions}.
   *
   * @example
   * ```ts ignore
   * import { Client } from "@msgbus/msgbus";
   *
   * for await (const message of new Client("http://localhost:8000").subscribe("foo")) {
   *   console.log(message.id, message.text());
   * }
   * ```
   */
  subscribe(topic: string, options: ClientSubscribeOptions = {}): ClientSubscription {
    const path = pathOf(topic);
    const host = {
      uri: this.uri,
      url: this.uri.replace(/^http/, "ws") + path,
      diagnose: (signal: AbortSignal) => this.#diagnose(path, signal),
    };
    return new SocketSubscription(host, canonicalTopicName(topic), options);
  }

  /** Asks over HTTP what a WebSocket doesn't tell: why it could not be opened. */
  async #diagnose(path: string, signal: AbortSignal): Promise<Failure> {
    let response: Response;
    try {
      response = await this.#send("HEAD", path, { signal });
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      return { error, transient: true };
    }
    if (!response.ok && !await isMissing(response)) {
      const transient = response.status >= 500 || TRANSIENT.includes(response.status);
      return { error: await refusalOf(response), transient };
    }
    // It may have come up between the two, or a proxy in front of it knows no WebSockets.
    return { error: this.#unexpected(response, "no WebSocket"), transient: true };
  }

  async #send(
    method: string,
    path: string,
    init: { readonly body?: Uint8Array<ArrayBuffer>; readonly signal?: AbortSignal | undefined },
  ): Promise<Response> {
    try {
      const headers = { accept: "application/json" };
      return await this.#fetch(this.uri + path, { method, headers, redirect: "manual", ...init });
    } catch (cause) {
      throw init.signal?.aborted ? cause : unreachable(this.uri, cause);
    }
  }

  async #text(response: Response, { signal }: RequestOptions): Promise<string> {
    try {
      return await response.text();
    } catch (cause) {
      throw signal?.aborted ? cause : unreachable(this.uri, cause);
    }
  }

  async #json(response: Response, options: RequestOptions): Promise<unknown> {
    const text = await this.#text(response, options);
    try {
      return JSON.parse(text);
    } catch {
      throw this.#unexpected(response, text === "" ? "nothing" : "no JSON");
    }
  }

  #unexpected(response: Response, what: string): BusError {
    return new BusError("unexpected_answer", `${this.uri} answers ${response.status} with ${what}: is it msgbusd?`);
  }
}

function baseOf(uri: string): string {
  const fault = (what: string) => new BusError("bad_option", `Bad URI ${quote(uri)}: ${what}`);
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    throw fault("it should look like http://localhost:8000");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw fault("it must begin with http:// or https://");
  // Not quoted: a password must not end up in a log.
  if (url.username || url.password) throw new BusError("bad_option", "Bad URI: a user or password is not supported");
  if (url.search || url.hash) throw fault("it must not have a query or a fragment");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function pathOf(topic: string): string {
  const name = canonicalTopicName(topic);
  if (isEndpoint(name)) throw new BusError("reserved", `Bad topic name ${quote(topic)}: the name is the server's`);
  return "/" + name.split("/").map(encodeURIComponent).join("/");
}

function bytesOf(payload: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof payload === "string" ? encoder.encode(payload) : payload as Uint8Array<ArrayBuffer>;
}

const LF = 0x0a;
const CR = 0x0d;

/** One line for each payload. */
function joinLines(payloads: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  if (payloads.length === 0) throw new BusError("bad_request", "Cannot publish no payloads");
  const lines = payloads.map((payload, index) => {
    const bytes = bytesOf(payload);
    const fault = bytes.length === 0 ? "is empty" : bytes.includes(LF) ? "contains a line feed" : undefined;
    if (fault === undefined) return bytes;
    throw new BusError(
      "bad_request",
      `Cannot publish ${payloads.length} payloads at once: number ${index + 1} ${fault}`,
    );
  });
  const body = new Uint8Array(lines.reduce((length, line) => length + line.length + 2, 0));
  let at = 0;
  for (const line of lines) {
    body.set(line, at);
    at += line.length;
    // The server takes one CR for a part of the line end.
    if (line.at(-1) === CR) body[at++] = CR;
    body[at++] = LF;
  }
  return body.subarray(0, at);
}

/** Whether the answer says that there is nothing, and not that something is wrong. */
async function isMissing(response: Response): Promise<boolean> {
  const code = response.headers.get("msgbus-error");
  if (response.status !== 404 || (code !== "no_topic" && code !== "empty")) return false;
  await response.body?.cancel();
  return true;
}

interface WireReceipt extends Omit<PublishReceipt, "count"> {
  readonly count?: number;
}

function isReceipt(value: unknown): value is WireReceipt {
  if (typeof value !== "object" || value === null) return false;
  const { topic, id, cursor, durability } = value as Record<string, unknown>;
  return typeof topic === "string" && Number.isInteger(id) && typeof cursor === "string" &&
    typeof durability === "string";
}

interface WireTopic extends Omit<TopicStats, "ttlMs" | "createdMs" | "cursor"> {
  readonly ttl: number;
  readonly created: string;
}

function isWireTopic(value: unknown): value is WireTopic {
  if (typeof value !== "object" || value === null) return false;
  const { name, ttl, seq, created } = value as Record<string, unknown>;
  return typeof name === "string" && typeof ttl === "number" && Number.isInteger(seq) && typeof created === "string";
}
