/**
 * Payloads as answers of their own. A stranger wrote them, and they come from the origin of the bus: a browser must run
 * nothing of them.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { SERVER_PREFIX } from "../attributes.ts";
import { NEVER } from "../wire/json.ts";
import { encodePercent } from "../wire/percent.ts";
import { META_PREFIX } from "./head.ts";
import { type HeaderRecord, respond } from "./respond.ts";

const DEFAULT_TYPE = "application/octet-stream";

/**
 * What a browser may show: texts without markup, pictures without scripts, sound. Everything else it is told to save,
 * because nobody knows all types that some browser runs something of.
 */
const INERT =
  /^(text\/(plain|csv|markdown)|application\/(json|octet-stream|x-ndjson)|image\/(png|jpeg|gif|webp|avif|apng|bmp)|(audio|video)\/[a-z0-9.+-]+)$/;

/** Answers with a payload. */
export function payloadResponse(payload: Uint8Array, contentType = DEFAULT_TYPE, more: HeaderRecord = {}): Response {
  const [type] = contentType.split(";", 1);
  const isInert = INERT.test(type!.trim().toLowerCase());
  return respond(200, payload as Uint8Array<ArrayBuffer>, contentType, {
    "content-security-policy": "sandbox; default-src 'none'",
    ...(isInert ? {} : { "content-disposition": "attachment" }),
    ...more,
  });
}

/** What settles the lease of a message, for those who don't read JSON. */
export function leaseHeaders({ lease, attempt }: Message): HeaderRecord {
  return {
    ...(lease === undefined ? {} : { "msgbus-lease": lease }),
    ...(attempt === undefined ? {} : { "msgbus-attempt": String(attempt) }),
  };
}

/** Answers with the payload of a message, and says everything else of it in headers. */
export function rawResponse(message: Message, more: HeaderRecord): Response {
  const { id, topic, createdMs, expiresMs, key } = message;
  const headers: Record<string, string> = {
    "msgbus-id": String(id),
    "msgbus-topic": encodePercent(topic.name),
    "msgbus-cursor": message.cursor,
    "msgbus-created": new Date(createdMs).toISOString(),
    "msgbus-expires": expiresMs === Infinity ? NEVER : new Date(expiresMs).toISOString(),
    ...leaseHeaders(message),
  };
  if (key !== undefined) headers["msgbus-key"] = encodePercent(key);
  for (const [name, value] of Object.entries(message.headers)) {
    headers[name.startsWith(SERVER_PREFIX) ? name : META_PREFIX + name] = encodePercent(value);
  }
  return payloadResponse(message.payload, message.contentType, { ...headers, ...more });
}
