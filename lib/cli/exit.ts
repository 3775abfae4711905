/**
 * What each outcome is to the shell.
 *
 * @module
 */

import type { ErrorCode } from "../errors.ts";

/** The exit codes of msgbus. */
export const EXIT = {
  /** What was asked for is done. */
  done: 0,
  /** It failed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** It went well, but there is nothing: no message, no such topic. */
  nothing: 3,
  /** The server can't be reached. */
  unreachable: 4,
  /** SIGINT came twice. */
  interrupted: 130,
  /** SIGTERM came twice. */
  terminated: 143,
} as const;

/** One of {@linkcode EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code of each error. */
export const EXIT_CODE = {
  address_in_use: EXIT.failed,
  already_closed: EXIT.failed,
  bad_cursor: EXIT.usage,
  bad_group: EXIT.usage,
  bad_header: EXIT.usage,
  bad_host: EXIT.failed,
  bad_option: EXIT.usage,
  bad_parameter: EXIT.failed,
  bad_request: EXIT.failed,
  bad_target: EXIT.failed,
  bad_topic: EXIT.usage,
  cross_site: EXIT.failed,
  disk_full: EXIT.failed,
  draining: EXIT.failed,
  empty: EXIT.nothing,
  headers_too_large: EXIT.usage,
  host_not_allowed: EXIT.failed,
  id_space_exhausted: EXIT.failed,
  idempotency_conflict: EXIT.failed,
  internal: EXIT.failed,
  method_not_allowed: EXIT.failed,
  no_endpoint: EXIT.failed,
  no_group: EXIT.nothing,
  no_scheduled: EXIT.nothing,
  no_topic: EXIT.nothing,
  not_nfc: EXIT.usage,
  not_synchronous: EXIT.failed,
  origin_not_allowed: EXIT.failed,
  overloaded: EXIT.failed,
  proxied: EXIT.failed,
  reply_gone: EXIT.failed,
  reply_timeout: EXIT.nothing,
  reserved: EXIT.usage,
  seq_mismatch: EXIT.failed,
  store_damaged: EXIT.failed,
  store_exposed: EXIT.failed,
  store_failed: EXIT.failed,
  store_locked: EXIT.failed,
  store_unwritable: EXIT.failed,
  target_too_long: EXIT.failed,
  too_large: EXIT.failed,
  too_many_groups: EXIT.failed,
  too_many_leased: EXIT.failed,
  too_many_topics: EXIT.failed,
  topic_full: EXIT.failed,
  unexpected_answer: EXIT.failed,
  unknown_header: EXIT.failed,
  unknown_method: EXIT.failed,
  unknown_parameter: EXIT.failed,
  unknown_subprotocol: EXIT.failed,
  unreachable: EXIT.unreachable,
  unsupported_encoding: EXIT.failed,
  upgrade_required: EXIT.failed,
} as const satisfies Record<ErrorCode, ExitCode>;
