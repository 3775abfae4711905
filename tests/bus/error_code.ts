/**
 * The code of the error that a call ends in.
 *
 * @module
 */

import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { assertInstanceOf, fail } from "../deps.ts";

/** The code of the {@linkcode BusError} that `call` throws. */
export function codeOf(call: () => unknown): ErrorCode {
  try {
    call();
  } catch (error) {
    assertInstanceOf(error, BusError);
    return error.code;
  }
  fail("Nothing was thrown");
}

/** The code of the {@linkcode BusError} that `promise` rejects with. */
export async function codeOfRejection(promise: Promise<unknown>): Promise<ErrorCode> {
  try {
    await promise;
  } catch (error) {
    assertInstanceOf(error, BusError);
    return error.code;
  }
  fail("Nothing was rejected");
}
