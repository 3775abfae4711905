/**
 * Lines of bytes, in blocks that are worth a request.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { concat } from "../wire/concat.ts";

/** The longest line, and the largest standard input, that is read into one message. No server takes more. */
export const MAX_LINE_BYTES = 64 * 1024 ** 2;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Cuts a stream into blocks of whole lines as they arrive; the last line need not be ended. A block has at least one
 * line that is not empty, as the server counts: without LF or CR LF at its end. Keeps no more than one line and one chunk.
 *
 * @throws {BusError} `too_large` for a line over {@linkcode MAX_LINE_BYTES}.
 */
export async function* blocksOfLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let begun: Uint8Array[] = [];
  let begunBytes = 0;
  for await (const chunk of stream) {
    const end = chunk.lastIndexOf(LF) + 1;
    if (end > 0) {
      const block = concat([...begun, chunk.subarray(0, end)]);
      begun = [];
      begunBytes = 0;
      if (hasLines(block)) yield block;
    }
    if (end === chunk.length) continue;
    begun.push(chunk.subarray(end));
    begunBytes += chunk.length - end;
    if (begunBytes > MAX_LINE_BYTES) {
      throw new BusError("too_large", `Cannot publish a line of more than ${MAX_LINE_BYTES} bytes`);
    }
  }
  const block = concat(begun);
  if (hasLines(block)) yield block;
}

/** Cuts a block in two between lines; `undefined` if it has only one. Halves without a line are left out. */
export function halve(block: Uint8Array): Uint8Array[] | undefined {
  const middle = block.length >> 1;
  let cut = block.indexOf(LF, middle) + 1;
  if (cut === 0 || cut === block.length) cut = block.lastIndexOf(LF, middle - 1) + 1;
  if (cut === 0 || cut === block.length) return undefined;
  return [block.subarray(0, cut), block.subarray(cut)].filter(hasLines);
}

/** A line without its end. */
export function withoutEnd(line: Uint8Array): Uint8Array {
  if (line.at(-1) !== LF) return line;
  return line.subarray(0, line.at(-2) === CR ? -2 : -1);
}

function hasLines(block: Uint8Array): boolean {
  return block.some((byte, at) => byte !== LF && (byte !== CR || block[at + 1] === CR));
}
