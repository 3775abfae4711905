/**
 * What went wrong between a client and its server, as a {@linkcode BusError}.
 *
 * @module
 */

import { BusError, type ErrorCode, escapeControls, isErrorCode } from "../errors.ts";

const MAX_MESSAGE_LENGTH = 500;

/** A {@linkcode BusError} that a server answered with, and whether it makes sense to ask again. */
export class Refusal extends BusError {
  /** The HTTP status. */
  readonly status: number;
  /** When to ask again, in milliseconds from then; `undefined` if the server didn't say. */
  readonly retryAfterMs: number | undefined;

  /** Makes the error of an answer. */
  constructor(code: ErrorCode, message: string, { status, headers }: Response) {
    super(code, message);
    this.status = status;
    const after = headers.get("retry-after") ?? "";
    this.retryAfterMs = /^[0-9]{1,5}$/.test(after) ? Number(after) * 1000 : undefined;
  }
}

const TRANSIENT: readonly number[] = [408, 425, 429];

/**
 * Whether what a request threw may pass by itself: the server is away, shuts down, is busy, or has no room on its disk,
 * which it looks at each second.
 */
export function mayPass(error: unknown): error is BusError {
  if (!(error instanceof Refusal)) return error instanceof BusError && error.code === "unreachable";
  const { status, code } = error;
  // A limit of the server's that is used up stays so until somebody does something about it.
  return status === 507 ? code === "disk_full" : status >= 500 || TRANSIENT.includes(status);
}

/**
 * The error of an answer that is not the one asked for: the server's own words and code, or `unexpected_answer` for a
 * code this version does not know and for answers of servers that are not msgbusd. Reads the body.
 */
export async function refusalOf(response: Response): Promise<Refusal> {
  const where = `${response.url || "the server"}`;
  const location = response.headers.get("location");
  if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400 && location !== null)) {
    await response.body?.cancel();
    const target = location === null ? "" : ` to ${location}`;
    return new Refusal(
      "unexpected_answer",
      printable(`${where} redirects${target}: use the URI of the bus itself`),
      response,
    );
  }
  const code = response.headers.get("msgbus-error");
  const words = code === null ? "" : wordsOf(await response.text().catch(() => ""));
  if (code === null) await response.body?.cancel();
  if (code !== null && isErrorCode(code)) {
    return new Refusal(code, printable(words || `${where} answers ${response.status} ${code}`), response);
  }
  const status = `${response.status} ${code ?? response.statusText}`.trimEnd();
  return new Refusal("unexpected_answer", printable(`${where} answers ${status}${words && `: ${words}`}`), response);
}

/** The error of a request that got no answer, or half of one. */
export function unreachable(uri: string, cause: unknown): BusError {
  return new BusError("unreachable", `Cannot reach ${uri}: ${reasonOf(cause)}`, { cause });
}

/** The error of a connection that the server closed with a code of its own (RFC 6455 section 7.4.2). */
export function closedBy(uri: string, code: number, reason: string): BusError {
  const known: ErrorCode = isErrorCode(reason) ? reason : "unexpected_answer";
  return new BusError(known, printable(`${uri} refuses the subscription: ${reason || "no reason given"} (${code})`));
}

/** The words of an error's body: its `message` if it is JSON, else its first line. */
function wordsOf(body: string): string {
  try {
    const { message } = JSON.parse(body);
    if (typeof message === "string") return message;
  } catch {
    // Plain text, then.
  }
  return body.trimStart().split("\n", 1)[0]!.trimEnd();
}

/** On one line, and not longer than a person reads: a stranger may have written it. */
function printable(text: string): string {
  return escapeControls(text.length > MAX_MESSAGE_LENGTH ? text.slice(0, MAX_MESSAGE_LENGTH) + "…" : text);
}

// Deno tells the reason only in words, Node by a code, browsers not at all.
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED|connection refused/i, "connection refused"],
  [/ENOTFOUND|EAI_AGAIN|dns error|failed to lookup/i, "no such host"],
  [/ECONNRESET|connection reset/i, "connection reset"],
  [/ETIMEDOUT|timed out/i, "timed out"],
  [/EHOSTUNREACH|ENETUNREACH|(host|network) is unreachable/i, "no way to the host"],
  [/certificate/i, "its certificate is not trusted"],
  [/error reading a body|terminated|connection closed/i, "connection lost"],
];

function reasonOf(error: unknown): string {
  const words: string[] = [];
  for (let at = error; at instanceof Error && words.length < 8; at = at.cause) {
    words.push(`${(at as { code?: unknown }).code ?? ""} ${at.message}`);
  }
  const said = words.join(" ");
  const known = REASONS.find(([pattern]) => pattern.test(said));
  return known?.[1] ?? printable(words.at(-1)?.trim() || String(error));
}
