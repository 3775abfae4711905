/**
 * The body of a request.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Head } from "./head.ts";

const NOTHING = new Uint8Array(0);
const FIRST_BUFFER_BYTES = 4096;
// The platform reserves memory for a whole body before the first byte of it has come.
const MAX_RESERVED_BYTES = 64 * 1024;
const LF = 0x0a;
const CR = 0x0d;

/**
 * Reads a body of at most `maxBytes`, and no more of a longer one than it takes to know.
 *
 * @throws {BusError} `too_large`, `unsupported_encoding`, or `bad_request` for one that does not arrive whole.
 */
export function readBody(request: Request, head: Head, maxBytes: number): Promise<Uint8Array> | Uint8Array {
  const { contentLength, contentEncoding, transferEncoding } = head;
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== "identity") {
    throw new BusError("unsupported_encoding", `Cannot publish a body with Content-Encoding ${quote(contentEncoding)}`);
  }
  if (transferEncoding !== undefined) {
    if (transferEncoding.toLowerCase() !== "chunked") {
      throw new BusError("bad_request", `Bad Transfer-Encoding ${quote(transferEncoding)}`);
    }
    return readChunks(request, maxBytes);
  }
  if (contentLength === undefined) {
    // HTTP/2 needs neither header for a body.
    return request.body === null ? NOTHING : readChunks(request, maxBytes);
  }
  // The platform has checked each length, but joins two of them.
  if (contentLength.includes(",")) throw new BusError("bad_request", `Bad Content-Length ${quote(contentLength)}`);
  const length = Number(contentLength);
  if (length > maxBytes) throw tooLarge(contentLength, maxBytes);
  if (length === 0) return NOTHING;
  return length <= MAX_RESERVED_BYTES ? request.bytes().catch(bodyAborted) : readChunks(request, maxBytes);
}

async function readChunks(request: Request, maxBytes: number): Promise<Uint8Array> {
  let body = new Uint8Array(FIRST_BUFFER_BYTES);
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      const needed = length + chunk.length;
      if (needed > maxBytes) throw tooLarge("more", maxBytes);
      if (needed > body.length) body = resized(body, Math.max(needed, 2 * body.length));
      // Copied at once: each chunk is a view of a buffer of 64 KiB, even one of a single byte.
      body.set(chunk, length);
      length = needed;
    }
  } catch (error) {
    if (error instanceof BusError) throw error;
    bodyAborted(error);
  }
  return resized(body, length);
}

function resized(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.buffer.transfer(length));
}

function tooLarge(seen: string, maxBytes: number): BusError {
  return new BusError("too_large", `payload exceeds max-payload-size of ${maxBytes} bytes: got ${seen}`);
}

function bodyAborted(cause: unknown): never {
  throw new BusError("bad_request", "Cannot publish: the body did not arrive whole", { cause });
}

/**
 * The lines of a body, without line ends and without empty ones.
 *
 * @throws {BusError} `bad_request` if there are none, `topic_full` if there are more than `maxLines`.
 */
export function linesOf(body: Uint8Array, maxLines: number): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < body.length;) {
    const end = body.indexOf(LF, start);
    const next = end < 0 ? body.length : end;
    const last = next > start && body[next - 1] === CR ? next - 1 : next;
    // Copied: a line that is retained must not keep the whole body alive.
    if (last > start) lines.push(body.slice(start, last));
    if (lines.length > maxLines) {
      throw new BusError("topic_full", `Cannot publish more lines at once than a topic retains: over ${maxLines}`);
    }
    start = next + 1;
  }
  if (lines.length === 0) throw new BusError("bad_request", "Cannot publish: the body has no lines");
  return lines;
}
