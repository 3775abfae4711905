/**
 * The flags that say what a message is.
 *
 * @module
 */

import { MAX_DELAY_MS } from "../bus/delayed.ts";
import type { ClientMessageOptions } from "../client/publishing.ts";
import { BusError, quote } from "../errors.ts";
import { durationFlag } from "./durations.ts";
import type { Flags, ListFlag, ValueFlag, Values } from "./flags.ts";

/** A flag that takes any text. */
export function textFlag(
  { wanted = "any text", ...flag }: Pick<ValueFlag<string>, "short" | "value" | "help"> & { readonly wanted?: string },
): ValueFlag<string | undefined> {
  return { ...flag, initial: undefined, wanted, read: (text) => text };
}

const HEADER: ListFlag<readonly [name: string, value: string]> = {
  value: "'NAME: VALUE'",
  help: "a header for those who get the message; may be repeated",
  many: true,
  initial: [],
  wanted: "a header such as 'trace: 1a2b'",
  read: (text) => {
    const [, name, value] = /^([^:\s]+):[ \t]*([^]*?)[ \t]*$/.exec(text) ?? [];
    return name === undefined ? undefined : [name, value!];
  },
};

/** What can be said of a message. */
export const ATTRIBUTE_FLAGS = {
  key: textFlag({
    short: "k",
    value: "KEY",
    help: "what it is about; of one key, a group handles one after the other",
  }),
  header: HEADER,
  "content-type": textFlag({ value: "TYPE", help: "what the payload is, such as application/json" }),
  ttl: durationFlag({
    help: "how long it is kept, 0 until a limit drops it; default: as the topic has it",
    initial: undefined,
    minMs: 0,
    maxMs: MAX_DELAY_MS,
  }),
} satisfies Flags;

/**
 * What the flags say.
 *
 * @throws {BusError} `bad_option` for a header that is given twice.
 */
export function attributesOfFlags(values: Values<typeof ATTRIBUTE_FLAGS>): ClientMessageOptions {
  const { key, header, ttl, "content-type": contentType } = values;
  const headers = new Map<string, string>();
  for (const [name, value] of header) {
    const lower = name.toLowerCase();
    if (headers.has(lower)) throw new BusError("bad_option", `Bad --header ${quote(name)}: given twice`);
    headers.set(lower, value);
  }
  return { key, contentType, ttlMs: ttl, ...(headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }) };
}
