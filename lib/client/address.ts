/**
 * Where things are: the URI of a bus, the paths of topics and of patterns of them, and parameters.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { canonicalTopicName, isEndpoint } from "../topic_name.ts";
import { parseTopicPattern } from "../topic_pattern.ts";

/** The topics of a subscription. */
export interface Pattern {
  /** In its one spelling: a topic, or topics and wildcards joined by commas. */
  readonly text: string;
  /** Its path, encoded. */
  readonly path: string;
  /** A topic of which the server can be asked whether it would serve it. */
  readonly sample: string;
  /** Whether it may be more than one topic: several are named, or there is a wildcard. */
  readonly several: boolean;
}

/**
 * The base URI of a bus, without a slash at its end.
 *
 * @throws {BusError} `bad_option` if it is not an `http:` or `https:` URI, or has a user, a query or a fragment.
 */
export function baseOf(uri: string): string {
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

/**
 * The path of a topic.
 *
 * @throws {BusError} `bad_topic`, `not_nfc`, or `reserved` for an endpoint of the server.
 */
export function pathOf(topic: string): string {
  return encodePath(readable(canonicalTopicName(topic)));
}

/**
 * Reads the topics of a subscription: a topic `orders`, several `orders,returns`, or wildcards `orders/*`, `orders/**`.
 *
 * @throws {BusError} as {@linkcode pathOf}.
 */
export function patternOf(text: string): Pattern {
  const { text: canonical, items, topic } = parseTopicPattern(text);
  return {
    text: canonical,
    path: `/${items.map((item) => encodePath(readable(item)).slice(1)).join(",")}`,
    sample: items[0]!.replaceAll(/\*+/g, "x"),
    several: topic === undefined,
  };
}

/** A path with these parameters, those that are set. */
export function withQuery(path: string, parameters: Readonly<Record<string, string | number | undefined>>): string {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined);
  const query = set.map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join("&");
  return query === "" ? path : `${path}?${query}`;
}

/** A duration as a parameter; `undefined` stays that. */
export function inMs(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${ms}ms`;
}

function readable(name: string): string {
  if (isEndpoint(name)) throw new BusError("reserved", `Bad topic name ${quote(name)}: the name is the server's`);
  return name;
}

// encodeURIComponent leaves a star as it is.
function encodePath(name: string): string {
  return "/" + name.split("/").map(encodeURIComponent).join("/");
}
