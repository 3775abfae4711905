/**
 * The head of a request: the headers that decide what becomes of it, gathered in one pass, because every look-up in a
 * `Headers` object searches and compares all of them.
 *
 * @module
 */

import { BusError, type ErrorCode, quote } from "../errors.ts";

/** What requests are counted as. */
export type Route = "publish" | "pull" | "subscribe" | "other";

/** The headers msgbusd looks at; absent ones are `undefined`. */
export interface Head {
  accept?: string;
  connection?: string;
  contentEncoding?: string;
  contentLength?: string;
  contentType?: string;
  host?: string;
  idempotencyKey?: string;
  ifMatch?: string;
  lastEventId?: string;
  origin?: string;
  purpose?: string;
  site?: string;
  transferEncoding?: string;
  upgrade?: string;
  webSocketKey?: string;
  webSocketProtocol?: string;
  webSocketVersion?: string;
  /** The first header that only a proxy adds. */
  proxyHeader?: string;
  /** The `Msgbus-` headers that say how to publish, by name. */
  publishOptions?: Map<string, string>;
  /** The first `Msgbus-` header that is not known. */
  unknownHeader?: string;
  /** Not of the head, but found out on the way: what kind of request it is. */
  route?: Route;
  /** As well: why it was refused. */
  error?: ErrorCode;
}

/** Gathers the head of a request. */
export function readHead(headers: Headers): Head {
  const head: Head = {};
  // Not for-of, which makes an array and a result object of each header.
  headers.forEach((value, name) => {
    switch (name) {
      case "host":
        head.host = value;
        break;
      case "content-length":
        head.contentLength = value;
        break;
      case "content-type":
        head.contentType = value;
        break;
      case "accept":
        head.accept = value;
        break;
      case "origin":
        head.origin = value;
        break;
      case "sec-fetch-site":
        head.site = value;
        break;
      case "sec-purpose":
        head.purpose = value;
        break;
      case "transfer-encoding":
        head.transferEncoding = value;
        break;
      case "content-encoding":
        head.contentEncoding = value;
        break;
      case "upgrade":
        head.upgrade = value;
        break;
      case "connection":
        head.connection = value;
        break;
      case "idempotency-key":
        head.idempotencyKey = value;
        break;
      case "if-match":
        head.ifMatch = value;
        break;
      case "last-event-id":
        head.lastEventId = value;
        break;
      case "sec-websocket-key":
        head.webSocketKey = value;
        break;
      case "sec-websocket-protocol":
        head.webSocketProtocol = value;
        break;
      case "sec-websocket-version":
        head.webSocketVersion = value;
        break;
      case "forwarded":
      case "via":
      case "x-forwarded-for":
      case "x-real-ip":
        head.proxyHeader ??= name;
        break;
      default:
        if (name.startsWith("msgbus-")) noteOwn(head, name, value);
    }
  });
  return head;
}

/** How the headers begin that a message keeps. */
export const META_PREFIX = "msgbus-meta-";
const PUBLISH_HEADERS: readonly string[] = ["msgbus-ttl", "msgbus-delay", "msgbus-at", "msgbus-key"];

function noteOwn(head: Head, name: string, value: string): void {
  if (!name.startsWith(META_PREFIX) && !PUBLISH_HEADERS.includes(name)) head.unknownHeader ??= name;
  else (head.publishOptions ??= new Map()).set(name, value);
}

/**
 * Refuses headers that say how to publish on a request that doesn't publish: what was meant would not happen. Standard
 * ones, which all kinds of clients send, are not meant.
 *
 * @throws {BusError} `unknown_header`.
 */
export function refusePublishOptions({ publishOptions }: Head): void {
  if (publishOptions === undefined) return;
  const [name] = publishOptions.keys();
  throw new BusError("unknown_header", `Unknown header ${quote(name!)}: it only goes with publishing`);
}

/** The items of a comma-separated header, trimmed; `undefined` has none. */
export function listOf(value: string | undefined): string[] {
  return value === undefined ? [] : value.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

/** Whether a comma-separated header lists `token`, in whatever case. */
export function lists(value: string | undefined, token: string): boolean {
  return value !== undefined && listOf(value).some((item) => item.toLowerCase() === token);
}

/**
 * Whether an `Accept` header lists a media type by its name; what matches every type doesn't count, nor does a quality
 * of 0, which means that the type is not wanted (RFC 9110 section 12.4.2).
 */
export function listsType(accept: string | undefined, type: string): boolean {
  return listOf(accept).some((item) => {
    const [name, ...parameters] = item.toLowerCase().split(";").map((part) => part.trim());
    return name === type && !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter));
  });
}
