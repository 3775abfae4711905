/**
 * The target of a request, judged as it was sent: `URL` would resolve `..` and `\` before anybody could refuse them, and
 * a `Host` header with a slash would replace the path.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { canonicalTopicName, isEndpoint } from "../topic_name.ts";
import { parseTopicPattern, type TopicPattern } from "../topic_pattern.ts";

/** A request target, split but not decoded. */
export interface Target {
  /** The path, from its first slash on. */
  readonly path: string;
  /** What follows the question mark; `undefined` without one. */
  readonly query: string | undefined;
}

const MAX_TARGET_LENGTH = 8192;

/**
 * Cuts the target out of `Request.url`, which the platform makes of the `Host` header and the target as sent.
 *
 * @throws {BusError} `bad_target` if the target names another authority than `Host`, is not a path, or has a fragment;
 * `target_too_long`.
 */
export function targetOf(url: string, host: string, method: string): Target {
  const start = url.indexOf("//") + 2;
  const at = start + host.length;
  if (!url.startsWith(host, start) || url.charCodeAt(at) !== 0x2f /* / */) {
    throw new BusError("bad_target", `Bad request target ${quote(url)}: not a path on ${quote(host)}`);
  }
  if (url.length - at > MAX_TARGET_LENGTH) {
    throw new BusError("target_too_long", `Bad request target: longer than ${MAX_TARGET_LENGTH} bytes`);
  }
  const target = url.slice(at);
  // The platform makes a path of the asterisk that asks about the server as a whole, and only OPTIONS may ask for it.
  if ((target === "/*" && method === "OPTIONS") || target.includes("#")) {
    throw new BusError("bad_target", `Bad request target ${quote(target)}`);
  }
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: undefined } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

const MAX_REMEMBERED = 4096;

/** Turns paths into canonical topic names, and remembers the latest: most requests are for topics seen before. */
export class TopicNames {
  readonly #known = new Map<string, string>();

  /**
   * The canonical name of the topic a path stands for: percent-decoded once, then judged.
   *
   * @throws {BusError} `bad_topic` or `not_nfc`.
   */
  of(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const name = canonicalTopicName(decodePath(path));
    // A token in one comes once, and would drive the topics out.
    if (isEndpoint(name)) return name;
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(path, name);
    return name;
  }
}

/** What a path means when topics are subscribed to: one, a list, or a pattern. Throws as {@linkcode TopicNames.of}. */
export function patternOf(path: string): TopicPattern {
  return parseTopicPattern(decodePath(path));
}

function decodePath(path: string): string {
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new BusError("bad_topic", `Bad topic name ${quote(path)}: not percent-encoded UTF-8`, { cause });
  }
}

// The offset of an RFC 3339 time begins with a plus sign.
const TIMES = ["since", "index", "from", "at"];

/**
 * Reads the query parameters of a request. A plus sign means a space, except where a time may have one. A known name with
 * a hyphen at its end stands for all names that begin with it.
 *
 * @throws {BusError} `unknown_parameter` for one that is not in `known`, `bad_parameter` for one given twice or not
 * percent-encoded UTF-8.
 */
export function parametersOf(query: string | undefined, known: readonly string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  if (query === undefined) return parameters;
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decodeParameter(equals < 0 ? part : part.slice(0, equals));
    if (!isKnown(name, known)) throw new BusError("unknown_parameter", `Unknown query parameter ${quote(name)}`);
    if (parameters.has(name)) throw new BusError("bad_parameter", `Query parameter ${quote(name)} is given twice`);
    const value = equals < 0 ? "" : part.slice(equals + 1);
    parameters.set(name, decodeParameter(TIMES.includes(name) ? value.replaceAll("+", "%2B") : value));
  }
  return parameters;
}

function isKnown(name: string, known: readonly string[]): boolean {
  return known.includes(name) || known.some((each) => each.endsWith("-") && name.startsWith(each));
}

function decodeParameter(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new BusError("bad_parameter", `Bad query parameter ${quote(text)}: not percent-encoded UTF-8`, { cause });
  }
}
