/**
 * What is checked before the daemon starts, and what a failed start is told as.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { isLoopbackAddress } from "../http/listen.ts";
import { EXIT } from "./lifecycle.ts";
import type { Options } from "../options.ts";

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

/** The line and the exit code for what a start failed with. */
export function explainFailedStart(error: unknown): { line: string; exitCode: number } {
  if (error instanceof BusError) {
    if (error.code === "address_in_use") {
      return { line: `${error.message}; take another with --bind, and msgbus --uri`, exitCode: EXIT.addressInUse };
    }
    return { line: error.message, exitCode: EXIT.configuration };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return { line: `a permission is missing: ${error.message.split("\n")[0]}`, exitCode: EXIT.configuration };
  }
  return { line: `bug: ${error instanceof Error ? error.stack : error}`, exitCode: EXIT.bug };
}
