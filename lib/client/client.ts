/**
 * A client of msgbusd, for every runtime with `fetch` and `WebSocket`.
 *
 * @module
 */

import type { Batch, Page, TopicStats } from "../bus/answers.ts";
import { BusError, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { parseSince } from "../wire/since.ts";
import { baseOf, pathOf, patternOf } from "./address.ts";
import {
  batchOf,
  type ClientBrowseOptions,
  type ClientPullBatchOptions,
  type ClientPullOptions,
  pageOf,
  readPath,
  waitsOf,
} from "./reading.ts";
import { refusalOf } from "./failure.ts";
import { bytesOf, joinLines } from "./payloads.ts";
import { type Fetch, isMissing, type RequestOptions, Requests } from "./requests.ts";
import { type Failure, SocketSubscription } from "./socket_subscription.ts";
import type { ClientSubscribeOptions, ClientSubscription } from "./subscription.ts";
import { topicOfHead, topicsOfList } from "./topic_stats.ts";

/** How a {@linkcode Client} works; everything has a default. */
export interface ClientOptions {
  /** Makes the requests, subscriptions excepted. Default: the platform's `fetch`. */
  readonly fetch?: Fetch;
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

const TRANSIENT = [408, 425, 429];

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
  readonly #requests: Requests;

  /**
   * Makes a client of the bus at `uri`, for example `http://localhost:8000` or, behind a proxy, `https://example.org/bus`.
   *
   * @throws {BusError} `bad_option` if it is not an `http:` or `https:` URI, or has a user, a query or a fragment.
   */
  constructor(uri: string | URL, options: ClientOptions = {}) {
    this.uri = baseOf(String(uri));
    this.#requests = new Requests(this.uri, options.fetch ?? ((url, init) => fetch(url, init)));
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
    const response = await this.#requests.demand("POST", path + query, { body, signal: options.signal });
    const receipt = await this.#requests.json(response, options);
    if (!isReceipt(receipt)) throw this.#requests.unexpected(response, "no receipt");
    const { topic: name, id, count = 1, cursor, durability, subscribers } = receipt;
    return { topic: name, id, count, cursor, durability, subscribers };
  }

  /**
   * Takes the next message of a topic's queue, or `undefined` if there is none or no such topic. At most one caller ever
   * gets a message this way; if the answer is lost on its way, nobody does. With `waitMs` it waits that long for one.
   * What the queue has lost is not told; see {@linkcode Client.pullBatch}.
   */
  async pull(topic: string, options: ClientPullOptions = {}): Promise<Message | undefined> {
    for (const waitMs of waitsOf(options.waitMs)) {
      const { body } = await this.#requests.read(readPath(topic, { waitMs }), options);
      if (body !== undefined) return decodeEnvelope(body);
    }
    return undefined;
  }

  /**
   * Takes the next messages of a topic's queue, at most `limit`; none if there are none or no such topic. With `waitMs`
   * it waits that long for the first. As with {@linkcode Client.pull}, a lost answer loses them all.
   *
   * What the queue has lost before the first message, because it expired or was dropped, is told once, as a
   * {@linkcode Batch.gap}, to the first who is answered after it. It may come without messages, and ends the wait.
   */
  async pullBatch(topic: string, options: ClientPullBatchOptions = {}): Promise<Batch> {
    const { limit = 100 } = options;
    let batch: Batch = { messages: [] };
    for (const waitMs of waitsOf(options.waitMs)) {
      const { headers, body } = await this.#requests.read(readPath(topic, { limit, waitMs }), options);
      batch = batchOf(headers, body, canonicalTopicName(topic));
      if (batch.messages.length > 0 || batch.gap !== undefined) break;
    }
    return batch;
  }

  /**
   * Reads the retained messages of a topic from `since` on, at most `limit`, and takes nothing: the queue and all others
   * get them all the same. {@linkcode Page.next} is where to go on. With `waitMs` it waits that long for the first.
   *
   * @example
   * ```ts ignore
   * import { Client } from "@msgbus/msgbus";
   *
   * const client = new Client("http://localhost:8000");
   * const { messages, next } = await client.browse("foo", { since: "10m", limit: 20 });
   * console.log(messages.map((message) => message.text()), "go on with", next);
   * ```
   *
   * @throws {BusError} `bad_cursor` if `since` is none of its forms, or as every method.
   */
  async browse(topic: string, options: ClientBrowseOptions = {}): Promise<Page> {
    const { limit } = options;
    let { since = "earliest" } = options;
    assertSince(since);
    let page: Page | undefined;
    for (const waitMs of waitsOf(options.waitMs)) {
      const response = await this.#requests.ask("GET", readPath(topic, { since, limit, waitMs }), options);
      // The position before the first message of a topic to come.
      if (response === undefined) page = { messages: [], next: "0" };
      else if (!response.headers.has("msgbus-next")) throw this.#requests.unexpected(response, "no page");
      else page = pageOf(response.headers, await this.#requests.text(response, options), canonicalTopicName(topic));
      if (page.messages.length > 0 || page.gap !== undefined) break;
      if (response !== undefined) since = page.next;
    }
    return page!;
  }

  /** All topics as they are now, sorted by name. */
  async topics(options: RequestOptions = {}): Promise<TopicStats[]> {
    const response = await this.#requests.demand("GET", "/", options);
    const topics = topicsOfList(await this.#requests.json(response, options));
    if (topics === undefined) throw this.#requests.unexpected(response, "no topics");
    return topics;
  }

  /** A topic as it is now, or `undefined` if it doesn't exist. Takes nothing from it. */
  async topic(name: string, options: RequestOptions = {}): Promise<TopicStats | undefined> {
    const response = await this.#requests.ask("HEAD", pathOf(name), options);
    if (response === undefined) return undefined;
    const topic = topicOfHead(canonicalTopicName(name), response.headers);
    if (topic === undefined) throw this.#requests.unexpected(response, "no topic");
    return topic;
  }

  /** Deletes a topic with everything in it and ends its subscriptions. Resolves to whether there was one. */
  async delete(topic: string, options: RequestOptions = {}): Promise<boolean> {
    const response = await this.#requests.ask("DELETE", pathOf(topic), options);
    await response?.body?.cancel();
    return response !== undefined;
  }

  /**
   * Subscribes to the messages of a topic, which need not exist yet; of several topics, `orders,returns`; or of all that
   * match a wildcard: `orders/*` is one segment, `orders/**` one or more. Connects at once, and again whenever the
   * connection is lost, where it was; see {@linkcode ClientSubscribeOptions}.
   *
   * @example
   * ```ts ignore
   * import { Client } from "@msgbus/msgbus";
   *
   * for await (const message of new Client("http://localhost:8000").subscribe("foo", { since: "earliest" })) {
   *   console.log(message.id, message.text());
   * }
   * ```
   *
   * @throws {BusError} `bad_cursor` if `options.since` is none of its forms; `bad_topic`, `not_nfc`, `reserved`.
   */
  subscribe(topic: string, options: ClientSubscribeOptions = {}): ClientSubscription {
    const pattern = patternOf(topic);
    if (options.since !== undefined) assertSince(options.since, pattern.several);
    const host = {
      uri: this.uri,
      diagnose: (signal: AbortSignal) => this.#diagnose(pathOf(pattern.sample), signal),
    };
    return new SocketSubscription(host, pattern, options);
  }

  /** Asks over HTTP what a WebSocket doesn't tell: why it could not be opened. */
  async #diagnose(path: string, signal: AbortSignal): Promise<Failure> {
    let response: Response;
    try {
      response = await this.#requests.send("HEAD", path, { signal });
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      return { error, transient: true };
    }
    if (!response.ok && !isMissing(response)) {
      const transient = response.status >= 500 || TRANSIENT.includes(response.status);
      return { error: await refusalOf(response), transient };
    }
    // It may have come up between the two, or a proxy in front of it knows no WebSockets.
    return { error: this.#requests.unexpected(response, "no WebSocket"), transient: true, noSocket: true };
  }
}

function assertSince(text: string, several = false): void {
  const since = parseSince(text, Date.now());
  const fault = since === undefined
    ? "it is not a position, a time or a duration"
    : several && typeof since === "object" && "next" in since
    ? "an id is of one topic only"
    : undefined;
  if (fault !== undefined) throw new BusError("bad_cursor", `Cannot begin at ${quote(text)}: ${fault}`);
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
