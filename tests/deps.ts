/**
 * What tests and benchmarks assert with.
 *
 * @module
 */

export {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
} from "jsr:@std/assert@^1.0.19";
export { default as fc } from "npm:fast-check@^4.10.0";
