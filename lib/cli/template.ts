/**
 * Formats that people write themselves: `{id} {topic} {payload}`.
 *
 * @module
 */

import { BusError, escapeControls, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { encodeBase64 } from "../wire/base64.ts";
import { encodeEnvelope, NEVER } from "../wire/json.ts";

/** What a template may say of a message. */
export const FIELDS = {
  id: ({ id }) => String(id),
  topic: ({ topic }) => topic.name,
  payload: (message) => message.text(),
  base64: ({ payload }) => encodeBase64(payload),
  size: ({ payload }) => String(payload.length),
  created: ({ createdMs }) => new Date(createdMs).toISOString(),
  expires: ({ expiresMs }) => expiresMs === Infinity ? NEVER : new Date(expiresMs).toISOString(),
  cursor: ({ cursor }) => cursor,
  seq: ({ seq }) => String(seq),
  epoch: ({ topic }) => topic.epoch,
  key: ({ key = "" }) => key,
  type: ({ contentType = "" }) => contentType,
  headers: ({ headers }) => JSON.stringify(headers),
  lease: ({ lease = "" }) => lease,
  attempt: ({ attempt = "" }) => String(attempt),
  json: encodeEnvelope,
} as const satisfies Record<string, (message: Message) => string>;

/** A header is a field, too. */
const HEADER = "header:";

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "0": "\0",
  "\\": "\\",
  "{": "{",
  "}": "}",
};
// An escape, a doubled brace, a field, or what is wrong: a brace or a backslash alone.
const PART = /\\([^]?)|\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

/** A template, ready to be filled. */
export interface Template {
  /** The text for a message, its line end included. */
  fill(message: Message): string;
}

/**
 * Reads a template: text with fields in braces. `{{` and `}}` are braces, and so are `\{` and `\}`; `\n`, `\t`, `\r`, `\0`
 * and `\\` are what they are in JavaScript. What a field holds is escaped as in the format `log`; the text around it is
 * not. A newline is added unless the template ends with one.
 *
 * @throws {BusError} `bad_option` that says what is wrong with it, and which fields there are.
 */
export function parseTemplate(text: string): Template {
  const parts: (string | ((message: Message) => string))[] = [];
  let end = 0;
  for (const match of text.matchAll(PART)) {
    parts.push(text.slice(end, match.index), partOf(match));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  const last = parts.findLast((part) => part !== "");
  if (typeof last !== "string" || !last.endsWith("\n")) parts.push("\n");
  return {
    fill: (message) => parts.map((part) => typeof part === "string" ? part : escapeControls(part(message))).join(""),
  };
}

function headerOf(name: string): (message: Message) => string {
  return ({ headers }) => headers[name] ?? "";
}

function partOf([whole, escaped, field]: RegExpMatchArray): string | ((message: Message) => string) {
  if (whole === "{{" || whole === "}}") return whole[0]!;
  if (escaped !== undefined) {
    const meant = ESCAPES[escaped];
    if (meant === undefined) throw new BusError("bad_option", `unknown escape ${quote(whole)}`);
    return meant;
  }
  if (field !== undefined && Object.hasOwn(FIELDS, field)) return FIELDS[field as keyof typeof FIELDS];
  if (field?.startsWith(HEADER)) return headerOf(field.slice(HEADER.length).toLowerCase());
  const fields = [...Object.keys(FIELDS), `${HEADER}…`].map((name) => `{${name}}`).join(", ");
  if (field === undefined) throw new BusError("bad_option", `a single ${whole}, where {{ and }} are braces`);
  throw new BusError("bad_option", `unknown field ${quote(field)}, not one of ${fields}`);
}
