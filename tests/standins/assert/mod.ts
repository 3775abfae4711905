/**
 * Stand-in for `@std/assert` over `node:assert`, which is the stricter of the two: it tells -0 from 0, and an object without
 * a prototype from one with.
 *
 * @module
 */

import nodeAssert from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** What a failed assertion throws. */
export const AssertionError = nodeAssert.AssertionError;

/** Fails if `expr` is falsy. */
export function assert(expr: unknown, msg?: string): asserts expr {
  nodeAssert.ok(expr, msg);
}

/** Fails if the values differ in depth. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.deepStrictEqual(actual, expected, msg);
}

/** Fails if the values do not differ in depth. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.notDeepStrictEqual(actual, expected, msg);
}

/** Fails if the values are not the same by `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, msg);
}

/** Fails if the value is null or undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  nodeAssert.ok(actual !== null && actual !== undefined, msg ?? `Expected a value, got ${actual}`);
}

/** Fails if the value is not an instance of the class. */
// deno-lint-ignore no-explicit-any
export function assertInstanceOf<T extends abstract new (...args: any[]) => any>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  nodeAssert.ok(actual instanceof expectedType, msg || `Expected an instance of ${expectedType.name}, got ${actual}`);
}

/** Fails if the string does not match. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  nodeAssert.match(actual, expected, msg);
}

/** Fails if the string does not contain the other. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  nodeAssert.ok(actual.includes(expected), msg ?? `Expected ${JSON.stringify(actual)} to contain "${expected}"`);
}

/** Fails if what `expected` has is not in `actual` in depth. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  nodeAssert.partialDeepStrictEqual(actual, expected, msg);
}

/** Fails unless actual > expected. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.ok(actual > expected, msg ?? `Expected ${actual} > ${expected}`);
}

/** Fails unless actual >= expected. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.ok(actual >= expected, msg ?? `Expected ${actual} >= ${expected}`);
}

/** Fails unless actual < expected. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.ok(actual < expected, msg ?? `Expected ${actual} < ${expected}`);
}

/** Fails unless actual <= expected. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.ok(actual <= expected, msg ?? `Expected ${actual} <= ${expected}`);
}

/** Fails unless the numbers are at most `tolerance` apart. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  const apart = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const near = Object.is(actual, expected) || Math.abs(expected - actual) <= apart;
  nodeAssert.ok(near, msg ?? `Expected ${actual} to be within ${apart} of ${expected}`);
}

/** Fails. */
export function fail(msg?: string): never {
  nodeAssert.fail(`Failed assertion${msg ? `: ${msg}` : "."}`);
}

/** Fails if the function does not throw; gives what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails if the function does not throw such an error; gives what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(fn: () => unknown, ...expected: unknown[]): unknown {
  try {
    fn();
  } catch (error) {
    return checked(error, expected);
  }
  fail("Expected function to throw");
}

/** Fails if the promise of the function is kept; gives what it was rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails if the promise of the function is not rejected with such an error; gives what it was rejected with. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(fn: () => PromiseLike<unknown>, ...expected: unknown[]): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch {
    fail("Function throws when expected to reject");
  }
  try {
    await promise;
  } catch (error) {
    return checked(error, expected);
  }
  fail("Expected function to reject");
}

function checked(error: unknown, [kind, includes]: unknown[]): unknown {
  if (typeof kind !== "function") return error;
  assertInstanceOf(error, kind as ErrorClass<Error>);
  if (includes !== undefined) assertStringIncludes(error.message, includes as string);
  return error;
}
