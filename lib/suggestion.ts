/**
 * What a mistyped word was probably meant to be.
 *
 * @module
 */

import { closest } from "./deps/cli.ts";

/** The candidate a mistyped word was probably meant to be; it must at least begin alike. */
export function suggestion(typed: string, candidates: readonly string[]): string | undefined {
  const nearest = closest(typed, candidates);
  return nearest[0] === typed[0] ? nearest : undefined;
}
