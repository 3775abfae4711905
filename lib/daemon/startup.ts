/**
 * What is checked before the daemon starts, and what a failed start is told as.
 *
 * @module
 */

import { BusError, type ErrorCode, quote } from "../errors.ts";
import { isLoopbackAddress } from "../http/listen.ts";
import { EXIT } from "./lifecycle.ts";
import type { Options, Request } from "../options.ts";

const OLDEST_DENO = [2, 9, 6] as const;

/**
 * Refuses a Deno that loses request bodies: 2.8.3 to 2.9.5 do (denoland/deno#36624, #36657).
 *
 * @throws {BusError} `bad_option`.
 */
export function assertPlatform(version: string): void {
  const parts = version.split(".").map((part) => parseInt(part));
  const differing = OLDEST_DENO.findIndex((part, at) => part !== parts[at]);
  if (differing >= 0 && parts[differing]! < OLDEST_DENO[differing]!) {
    throw new BusError("bad_option", `Deno ${OLDEST_DENO.join(".")} or later is needed: this is ${version}`);
  }
}

/**
 * Refuses to open the bus to the network by accident.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertExposureIsMeant(options: Options, environment: (name: string) => string | undefined): void {
  if (environment("DENO_SERVE_ADDRESS") !== undefined) {
    throw new BusError(
      "bad_option",
      "DENO_SERVE_ADDRESS is set and would move the server elsewhere: unset it, use --bind",
    );
  }
  const exposed = options.bind.find((bind) => !isLoopbackAddress(bind));
  if (exposed !== undefined && !options.open) {
    throw new BusError(
      "bad_option",
      `--bind ${
        quote(exposed)
      } is open to the network, where everybody could read, write and delete: add --open to allow it`,
    );
  }
}

/**
 * Refuses `--accept-loss` where it can't mean anything.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertLossIsMeant({ data, acceptLoss }: Options): void {
  if (acceptLoss && data === undefined) {
    throw new BusError("bad_option", "--accept-loss is given without --data: memory has nothing to lose at a start");
  }
}

/** The exit codes of what is not the configuration's fault, and what to do about it. */
const FAULTS: Readonly<Partial<Record<ErrorCode, { exitCode: number; hint(error: BusError): string | undefined }>>> = {
  address_in_use: { exitCode: EXIT.inUse, hint: () => "take another with --bind, and msgbus --uri" },
  disk_full: { exitCode: EXIT.unwritable, hint: () => "make room, or take another directory with --data" },
  store_damaged: { exitCode: EXIT.damaged, hint: hintOfDamage },
  store_failed: { exitCode: EXIT.journalFailed, hint: () => "look for errors of the disk in the system's log" },
  store_locked: { exitCode: EXIT.inUse, hint: () => "stop that one, or take another directory with --data" },
  store_unwritable: { exitCode: EXIT.unwritable, hint: hintOfUnwritable },
};

// What a worker has failed with comes as its code and its message, and nothing else: hence the looks at messages.

function hintOfDamage({ message }: BusError): string | undefined {
  // Another program's, or a newer version's: there is nothing in it to go on with.
  if (message.startsWith("Not using ")) return undefined;
  const whether = message.endsWith(": it is no journal") ? "if it is damaged, " : "";
  return `${whether}restore a backup, or go on with what is left of it: --accept-loss`;
}

function hintOfUnwritable({ message, cause }: BusError): string {
  const another = "take another directory with --data";
  if (/: it is not a (?:directory|file)$/.test(message) || cause instanceof Deno.errors.NotADirectory) return another;
  if (cause instanceof Deno.errors.NotFound) return `make the directory that it is in, or ${another}`;
  return `make it writable, or ${another}`;
}

const MISSING_PERMISSION = /Requires \w+ access to .+, run again with the --allow-\w+ flag/;

/**
 * The line and the exit code for what a start failed with, or a check: what would help a start is not said of a check,
 * which has no such flags.
 */
export function explainFailedStart(
  error: unknown,
  asked: Request["do"] = "run",
): { line: string; exitCode: number } {
  const permission = error instanceof Deno.errors.NotCapable || error instanceof BusError
    ? MISSING_PERMISSION.exec(error.message)?.[0]
    : undefined;
  if (permission !== undefined) {
    return { line: `a permission is missing: ${permission}`, exitCode: EXIT.configuration };
  }
  if (error instanceof BusError) {
    const { exitCode = EXIT.configuration, hint } = FAULTS[error.code] ?? {};
    const said = asked === "check" && error.code !== "store_failed" ? undefined : hint?.(error);
    return { line: said === undefined ? error.message : `${error.message}; ${said}`, exitCode };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return { line: `a permission is missing: ${error.message.split("\n")[0]}`, exitCode: EXIT.configuration };
  }
  return { line: `bug: ${error instanceof Error ? error.stack : error}`, exitCode: EXIT.bug };
}
