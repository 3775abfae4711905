/**
 * An error whose answer has headers of its own.
 *
 * @module
 */

import { BusError, type ErrorCode } from "../errors.ts";
import type { HeaderRecord } from "./respond.ts";

/** An expected condition, and what its answer says besides. */
export class Refusal extends BusError {
  /** Further headers of the answer. */
  readonly headers: HeaderRecord;

  /** Makes the error of a condition. */
  constructor(code: ErrorCode, message: string, headers: HeaderRecord) {
    super(code, message);
    this.headers = headers;
  }
}
