/**
 * What is checked before msgbusd starts.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import { type Options, readOptions } from "../../lib/options.ts";
import { assertExposureIsMeant, assertPlatform, explainFailedStart } from "../../lib/daemon/startup.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../deps.ts";

const NOTHING = () => undefined;

function bound(...args: string[]): Options {
  const request = readOptions(args, NOTHING);
  if (request.do !== "run") throw new Error(`Asks for ${request.do}`);
  return request.options;
}

Deno.test("assertPlatform refuses a Deno that loses request bodies", () => {
  for (const version of ["2.9.5", "2.8.9", "1.46.3", "2.9.5-rc.1"]) {
    const error = assertThrows(() => assertPlatform(version), BusError, `2.9.6 or later is needed: this is ${version}`);
    assertEquals(error.code, "bad_option");
  }
  for (const version of ["2.9.6", "2.9.10", "2.10.0", "3.0.0", "2.10.0-rc.1"]) assertPlatform(version);
});

for (const bind of ["localhost:0", "LOCALHOST:1", "127.0.0.1:0", "127.8.9.1:0", "[::1]:0"]) {
  Deno.test(`assertExposureIsMeant lets ${bind} be without --open`, () => {
    assertExposureIsMeant(bound("--bind", bind), NOTHING);
  });
}

for (const bind of [":0", "0.0.0.0:0", "[::]:0", "192.168.1.2:0", "128.0.0.1:0", "bus.lan:0", "localhost.lan:0"]) {
  Deno.test(`assertExposureIsMeant refuses ${bind} without --open`, () => {
    const error = assertThrows(() => assertExposureIsMeant(bound("-b", "localhost:0", "-b", bind), NOTHING), BusError);
    assertStringIncludes(error.message, `--bind "${bind}" is open to the network`);
    assertExposureIsMeant(bound("--open", "-b", bind), NOTHING);
  });
}

Deno.test("assertExposureIsMeant refuses DENO_SERVE_ADDRESS, even with --open", () => {
  const environment = (name: string) => name === "DENO_SERVE_ADDRESS" ? "tcp:127.0.0.1:1" : undefined;
  assertThrows(() => assertExposureIsMeant(bound("--open"), environment), BusError, "DENO_SERVE_ADDRESS is set");
});

Deno.test("explainFailedStart tells a missing permission and a bad option in a line, and a bug with its stack", () => {
  const denied = new Deno.errors.NotCapable(`Requires net access to "x", run again with the --allow-net flag\nmore`);
  assertEquals(explainFailedStart(denied), {
    line: `a permission is missing: Requires net access to "x", run again with the --allow-net flag`,
    exitCode: 78,
  });
  assertEquals(explainFailedStart(new BusError("bad_option", "Bad --ttl")), { line: "Bad --ttl", exitCode: 78 });
  assertEquals(explainFailedStart(new BusError("address_in_use", "In use")), {
    line: "In use; take another with --bind, and msgbus --uri",
    exitCode: 75,
  });
  // As SQLite's comes, through a worker.
  const wrapped = `The journal has failed: ${denied.message.split("\n")[0]}`;
  assertEquals(explainFailedStart(new BusError("store_failed", wrapped)), explainFailedStart(denied));
  const { line, exitCode } = explainFailedStart(new TypeError("oops"));
  assertEquals([line.startsWith("bug: TypeError: oops\n"), exitCode], [true, 70]);
  assertEquals(explainFailedStart("thrown"), { line: "bug: thrown", exitCode: 70 });
});

/** What a start on a store fails with, and what is said to do about it. */
const HINTS: readonly (readonly [error: BusError, exitCode: number, hint: string | undefined])[] = [
  [new BusError("store_damaged", `Not using "d/journal.db": it is another program's database`), 65, undefined],
  [
    new BusError("store_damaged", `Cannot use "d/journal.db": it is no journal`),
    65,
    "if it is damaged, restore a backup, or go on with what is left of it: --accept-loss",
  ],
  [
    new BusError(
      "store_damaged",
      `The journal "d/journal.db" is damaged: 1 of 2 acknowledged transactions are missing`,
    ),
    65,
    "restore a backup, or go on with what is left of it: --accept-loss",
  ],
  [
    new BusError("store_unwritable", `Cannot use "d": it is not a directory`),
    73,
    "take another directory with --data",
  ],
  [
    new BusError("store_unwritable", `Cannot use the directory "d/e": No such file`, {
      cause: new Deno.errors.NotFound("No such file"),
    }),
    73,
    "make the directory that it is in, or take another directory with --data",
  ],
  [
    new BusError("store_unwritable", `Cannot use the directory "d": Permission denied`, {
      cause: new Deno.errors.PermissionDenied("Permission denied"),
    }),
    73,
    "make it writable, or take another directory with --data",
  ],
];

for (const [error, exitCode, hint] of HINTS) {
  Deno.test(`explainFailedStart says of ${error.message} what helps, and of a check only what it is`, () => {
    const line = hint === undefined ? error.message : `${error.message}; ${hint}`;
    assertEquals(explainFailedStart(error), { line, exitCode });
    assertEquals(explainFailedStart(error, "check"), { line: error.message, exitCode });
  });
}
