/**
 * The one family of errors. The core and the edges name a condition by its code; each edge owns one exhaustive table
 * that says what a code means there: an HTTP status (`lib/http/respond.ts`), an exit code (`lib/cli/exit.ts`).
 *
 * @module
 */

/** Every condition msgbus reports, one word each. The codes are part of the wire format: `Msgbus-Error: <code>`. */
export const ERROR_CODES = [
  "address_in_use",
  "already_closed",
  "bad_cursor",
  "bad_group",
  "bad_header",
  "bad_host",
  "bad_option",
  "bad_parameter",
  "bad_request",
  "bad_target",
  "bad_topic",
  "cross_site",
  "disk_full",
  "draining",
  "empty",
  "headers_too_large",
  "host_not_allowed",
  "id_space_exhausted",
  "idempotency_conflict",
  "internal",
  "method_not_allowed",
  "no_endpoint",
  "no_group",
  "no_scheduled",
  "no_topic",
  "not_nfc",
  "not_synchronous",
  "origin_not_allowed",
  "overloaded",
  "proxied",
  "reply_gone",
  "reply_timeout",
  "reserved",
  "seq_mismatch",
  "store_damaged",
  "store_exposed",
  "store_failed",
  "store_locked",
  "store_unwritable",
  "target_too_long",
  "too_large",
  "too_many_groups",
  "too_many_leased",
  "too_many_topics",
  "topic_full",
  "unexpected_answer",
  "unknown_header",
  "unknown_method",
  "unknown_parameter",
  "unknown_subprotocol",
  "unreachable",
  "unsupported_encoding",
  "upgrade_required",
] as const;

/** One of {@linkcode ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Whether `code` is one of {@linkcode ERROR_CODES}; a newer server may send others. */
export function isErrorCode(code: string): code is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(code);
}

/**
 * An expected condition, told by its {@linkcode BusError.code}. The message is one line for people: the action, a
 * colon, the value seen. Programs branch on the code, never on the message.
 *
 * @example
 * ```ts
 * import { BusError, MessageBus } from "@msgbus/msgbus";
 *
 * const bus = new MessageBus();
 * try {
 *   bus.put("no//such/name", "hi");
 * } catch (error) {
 *   if (!(error instanceof BusError) || error.code !== "bad_topic") throw error;
 * }
 * ```
 */
export class BusError extends Error {
  /** The condition. */
  readonly code: ErrorCode;

  /** Makes the error of a condition; `options.cause` is the error that led to it, if any. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BusError";
    this.code = code;
  }
}

const MAX_QUOTED = 100;

/**
 * Quotes a value somebody sent, for an error or a log line: on one line, control characters escaped, at most 100
 * characters. What comes back can't break out of the line it is put in.
 */
export function quote(value: string): string {
  const cut = value.length > MAX_QUOTED ? value.slice(0, MAX_QUOTED) + "…" : value;
  return `"${escapeControls(cut.replace(/["\\]/g, "\\$&"))}"`;
}

// C0, DEL, C1, soft hyphen, Arabic letter mark, zero-width and bidirectional controls, line separators, lone
// surrogates, tags.
const UNPRINTABLE =
  /[\p{Cc}\p{Cs}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Escapes what could end a line, move a terminal's cursor, or reorder or hide text. */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, (c) => SHORT[c] ?? c.split("").map(escapeUnit).join(""));
}

/** As JSON does it, so that escaped JSON is JSON still. */
function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
