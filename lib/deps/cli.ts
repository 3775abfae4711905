/**
 * What the command lines are read with.
 *
 * @module
 */

export { parseArgs } from "jsr:@std/cli@^1.0.32/parse-args";
export { closest } from "npm:fastest-levenshtein@^1.0.16";
