/**
 * A client of msgbusd, for every runtime with `fetch` and `WebSocket`.
 *
 * @module
 */

import type { Batch, GroupStats, Page, Redriven, Reply, Settlement, TopicStats } from "../bus/answers.ts";
import { BusError } from "../errors.ts";
import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { baseOf, pathOf, patternOf } from "./address.ts";
import { mayPass, refusalOf } from "./failure.ts";
import * as leases from "./groups.ts";
import type { ClientExtendOptions, ClientNackOptions, ClientRedriveOptions } from "./groups.ts";
import * as publishing from "./publishing.ts";
import type {
  ClientPublishOptions,
  ClientReplyOptions,
  ClientRequestOptions,
  ClientScheduledMessage,
  ClientScheduleOptions,
  ClientScheduleReceipt,
  PublishReceipt,
} from "./publishing.ts";
import {
  assertSince,
  batchOf,
  browsePath,
  type ClientBrowseOptions,
  type ClientPullBatchOptions,
  type ClientPullOptions,
  pageOf,
  pullPath,
  waitsOf,
} from "./reading.ts";
import { type Fetch, isMissing, type RequestOptions, Requests } from "./requests.ts";
import { type Failure, SocketSubscription } from "./socket_subscription.ts";
import type { ClientSubscribeOptions, ClientSubscription } from "./subscription.ts";
import { topicOfHead, topicsOfList } from "./topic_stats.ts";
import type { ClientWorker, WorkHandler, WorkOptions } from "./work.ts";
import { LeaseWorker } from "./worker.ts";

/** How a {@linkcode Client} works; everything has a default. */
export interface ClientOptions {
  /** Makes the requests, subscriptions excepted. Default: the platform's `fetch`. */
  readonly fetch?: Fetch;
}

/**
 * A client of a message bus that msgbusd serves. It holds no connection of its own, so there is nothing to close but
 * subscriptions and workers.
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
   * `bad_header` or `headers_too_large` for what is said of the message; `seq_mismatch`, `idempotency_conflict`,
   * `too_large`, `topic_full`, `too_many_topics`, `overloaded`, `draining`, or as every method. A refused publish
   * takes no id.
   */
  async publish(
    topic: string,
    payload: string | Uint8Array | readonly (string | Uint8Array)[],
    options: ClientPublishOptions = {},
  ): Promise<PublishReceipt> {
    return await publishing.publish(this.#requests, topic, payload, options);
  }

  /**
   * Publishes a message later: `delayMs` from now, or at `atMs`. Until then nobody sees it; its id, creation and time to
   * live begin when it is published.
   *
   * @throws {BusError} `bad_option` unless there is one of `delayMs` and `atMs`, or as {@linkcode Client.publish}.
   */
  async schedule(
    topic: string,
    payload: string | Uint8Array,
    options: ClientScheduleOptions,
  ): Promise<ClientScheduleReceipt> {
    return await publishing.schedule(this.#requests, topic, payload, options);
  }

  /** The messages that are to be published to a topic later. */
  async scheduled(topic: string, options: RequestOptions = {}): Promise<ClientScheduledMessage[]> {
    return await publishing.scheduled(this.#requests, topic, options);
  }

  /**
   * Cancels a message that is to be published later, by its {@linkcode ClientScheduleReceipt.token}. Resolves to whether there
   * was one.
   */
  async cancel(topic: string, token: string, options: RequestOptions = {}): Promise<boolean> {
    return await publishing.cancel(this.#requests, topic, token, options);
  }

  /**
   * Publishes a message and waits for the reply of whoever handles it: the message has a header `msgbus-reply-to`, the
   * token that {@linkcode Client.reply} takes. Resolves to `undefined` when the time is up; the message stays where it is.
   * A reply of which nothing was said is `application/octet-stream`.
   *
   * @throws {BusError} As {@linkcode Client.publish}.
   */
  async request(
    topic: string,
    payload: string | Uint8Array,
    options: ClientRequestOptions = {},
  ): Promise<Reply | undefined> {
    return await publishing.request(this.#requests, topic, payload, options);
  }

  /**
   * Replies to a message by the token in its header `msgbus-reply-to`. The first reply is the one that counts.
   *
   * @throws {BusError} `reply_gone` if nobody waits for it any more, `bad_header`, `too_large`, or as every method.
   */
  async reply(token: string, payload: string | Uint8Array, options: ClientReplyOptions = {}): Promise<void> {
    await publishing.reply(this.#requests, token, payload, options);
  }

  /**
   * Takes the next message of a topic's queue, or `undefined` if there is none or no such topic. At most one caller ever
   * gets a message this way; if the answer is lost on its way, nobody does. With `waitMs` it waits that long for one.
   * What the queue has lost is not told; see {@linkcode Client.pullBatch}.
   *
   * With `group` it is the next message of that group, which has a place of its own in the topic. With `leaseMs` the
   * message is not taken for good: it comes again unless {@linkcode Client.ack} gets its {@linkcode Message.lease} in
   * time. {@linkcode Client.work} does all of that.
   *
   * @throws {BusError} `bad_group`, `too_many_groups`, `too_many_leased`, `bad_cursor` if `from` is none, or as every method.
   */
  async pull(topic: string, options: ClientPullOptions = {}): Promise<Message | undefined> {
    for (const waitMs of waitsOf(options.waitMs)) {
      const { body } = await this.#requests.read(pullPath(topic, { ...options, limit: undefined, waitMs }), options);
      if (body !== undefined) return decodeEnvelope(body);
    }
    return undefined;
  }

  /**
   * Takes the next messages of a topic's queue, at most `limit`; none if there are none or no such topic. With `waitMs`
   * it waits that long for the first. As with {@linkcode Client.pull}, a lost answer loses them all, unless they are
   * leased.
   *
   * What the queue has lost before the first message, because it expired or was dropped, is told once, as a
   * {@linkcode Batch.gap}, to the first who is answered after it. It may come without messages, and ends the wait.
   */
  async pullBatch(topic: string, options: ClientPullBatchOptions = {}): Promise<Batch> {
    const { limit = 100 } = options;
    let batch: Batch = { messages: [] };
    for (const waitMs of waitsOf(options.waitMs)) {
      const { headers, body } = await this.#requests.read(pullPath(topic, { ...options, limit, waitMs }), options);
      batch = batchOf(headers, body, canonicalTopicName(topic));
      if (batch.messages.length > 0 || batch.gap !== undefined) break;
    }
    return batch;
  }

  /**
   * Acknowledges leased messages by their {@linkcode Message.lease}: they are done. The ack of a lease that has expired
   * counts unless the message was handed out again.
   */
  async ack(tokens: string | readonly string[], options: RequestOptions = {}): Promise<Settlement> {
    return await leases.settle(this.#requests, leases.ACK_PATH, tokens, options);
  }

  /** Hands leased messages back, to be handed out again: at once, or after `delayMs`. */
  async nack(tokens: string | readonly string[], options: ClientNackOptions = {}): Promise<Settlement> {
    return await leases.settle(this.#requests, leases.nackPath(options), tokens, options);
  }

  /** Has leases last for `leaseMs` from now, or as long again as they were made for. */
  async extend(tokens: string | readonly string[], options: ClientExtendOptions = {}): Promise<Settlement> {
    return await leases.settle(this.#requests, leases.extendPath(options.leaseMs), tokens, options);
  }

  /**
   * The groups of a topic as they are now, the queue `""` first; none if there is no such topic. Without `topic`, those
   * of all topics.
   */
  async groups(topic?: string, options: RequestOptions = {}): Promise<GroupStats[]> {
    return await leases.groups(this.#requests, topic, options);
  }

  /** Forgets a group with its place and its leases; the topic stays. Resolves to whether there was one. */
  async deleteGroup(topic: string, group: string, options: RequestOptions = {}): Promise<boolean> {
    return await leases.deleteGroup(this.#requests, topic, group, options);
  }

  /**
   * Publishes dead letters to the topic they came from, oldest first, as new messages that everybody sees; they leave
   * `<topic>/-dead`. `undefined` if there is neither that nor the topic.
   *
   * @throws {BusError} as {@linkcode Client.publish}, if not even the first can be published.
   */
  async redrive(topic: string, options: ClientRedriveOptions = {}): Promise<Redriven | undefined> {
    return await leases.redrive(this.#requests, topic, options);
  }

  /**
   * Works off the messages of a topic's queue, or of a group of it: each is leased, given to `handler`, and acknowledged
   * when that returns, or handed back when it throws, to be tried again later. While the handler runs, its lease is
   * extended. A message that no handler finishes in the attempts that the server allows becomes a dead letter.
   *
   * Each message is handled at least once, by one worker of those that share the group; a second time only if the first
   * worker has died, or could not reach the server in time. See {@linkcode WorkOptions} and {@linkcode ClientWorker}.
   *
   * @example
   * ```ts ignore
   * import { Client } from "@msgbus/msgbus";
   *
   * const client = new Client("http://localhost:8000");
   * const worker = client.work("mail", { group: "sender", parallel: 4 }, async (message, { signal }) => {
   *   await fetch("https://mail.example/send", { method: "POST", body: message.text(), signal });
   * });
   * await worker.ended;
   * ```
   *
   * @throws {BusError} `bad_option`, `bad_cursor`, `bad_topic`, `not_nfc`, `reserved`; what the server refuses rejects
   * {@linkcode ClientWorker.ended}.
   */
  work(topic: string, options: WorkOptions, handler: WorkHandler): ClientWorker {
    return new LeaseWorker(this.#requests, topic, options, handler);
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
      const response = await this.#requests.ask("GET", browsePath(topic, { since, limit, waitMs }), options);
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
      const error = await refusalOf(response);
      return { error, transient: mayPass(error) };
    }
    // It may have come up between the two, or a proxy in front of it knows no WebSockets.
    return { error: this.#requests.unexpected(response, "no WebSocket"), transient: true, noSocket: true };
  }
}
