/**
 * `--count`: how many messages.
 *
 * @module
 */

import type { ValueFlag } from "./flags.ts";

/** The flag that ends a command after so many messages. */
export function countFlag(help: string): ValueFlag<number | undefined> {
  return {
    short: "n",
    value: "N",
    help,
    initial: undefined,
    wanted: "a whole number from 1 on",
    read: (text) => /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : undefined,
  };
}
