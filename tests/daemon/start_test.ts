/**
 * How msgbusd starts, and how it does not.
 *
 * @module
 */

import { helpText } from "../../lib/options.ts";
import { VERSION } from "../../lib/version.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { daemon, ending } from "./daemon.ts";

Deno.test("msgbusd: the first line of its log is the original's", async () => {
  await using server = await daemon();
  assertMatch(server.firstLine, /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d msgbusd listening on 127\.0\.0\.1:[1-9]\d*$/);
});

for (const flag of ["--version", "-v"]) {
  Deno.test(`msgbusd ${flag} prints the version`, async () => {
    assertEquals(await ending([flag]), { code: 0, stdout: [`msgbusd ${VERSION}`], stderr: [] });
  });
}

for (const flag of ["--help", "-h"]) {
  Deno.test(`msgbusd ${flag} prints the help`, async () => {
    assertEquals(await ending([flag]), { code: 0, stdout: helpText().trimEnd().split("\n"), stderr: [] });
  });
}

/** Arguments and environments that msgbusd does not start with, and the line it says. */
const CONFIGURATION: readonly (readonly [what: string, args: string[], env: Record<string, string>, line: string])[] = [
  ["an unknown flag", ["--nonsense"], {}, `Unknown flag "--nonsense"; see msgbusd --help`],
  ["an unexpected argument", ["serve"], {}, `Unexpected argument "serve"; see msgbusd --help`],
  [
    "a value out of range",
    ["-P", "33MiB"],
    {},
    `Bad --max-payload-size "33MiB": not a size such as 1MiB, from 1 to 32MiB`,
  ],
  ["a flag given twice", ["--ttl", "1s", "--ttl", "2s"], {}, "Bad --ttl: given twice"],
  ["a bad variable", [], { MSGBUSD_DISCARD: "some" }, `Bad MSGBUSD_DISCARD "some": not one of old, new`],
  [
    "an address of the network, without --open",
    ["--bind", "0.0.0.0:0"],
    {},
    `--bind "0.0.0.0:0" is open to the network, where everybody could read, write and delete: add --open to allow it`,
  ],
  [
    "every address, without --open",
    ["--bind", "localhost:0", "--bind", ":0"],
    {},
    `--bind ":0" is open to the network, where everybody could read, write and delete: add --open to allow it`,
  ],
  [
    "a variable of Deno that would move it",
    [],
    { DENO_SERVE_ADDRESS: "tcp:0.0.0.0:8000" },
    "DENO_SERVE_ADDRESS is set and would move the server elsewhere: unset it, use --bind",
  ],
  [
    "an address that is not this machine's",
    ["--open", "--bind", "192.0.2.1:0"],
    {},
    "Cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99)",
  ],
];

for (const [what, args, env, line] of CONFIGURATION) {
  Deno.test({
    name: `msgbusd with ${what} exits with 78 and says why in a line`,
    ignore: line.includes("(os error 99)") && Deno.build.os !== "linux", // the text is the system's
    fn: async () => {
      assertEquals(await ending(args, { env }), { code: 78, stdout: [], stderr: [`msgbusd: ${line}`] });
    },
  });
}

for (
  const [missing, permissions, line] of [
    [
      "environment",
      ["--no-prompt", "--allow-net"],
      /^msgbusd: a permission is missing: Requires env access to "MSGBUSD_DATA", run again with the --allow-env flag$/,
    ],
    [
      "network",
      ["--no-prompt", "--allow-env=MSGBUSD_*,DENO_SERVE_ADDRESS"],
      /^msgbusd: a permission is missing: Requires net access to "127\.0\.0\.1:8000", run again with the --allow-net flag$/,
    ],
  ] as const
) {
  Deno.test(`msgbusd without permission for the ${missing} exits with 78 and names the flag`, async () => {
    const { code, stdout, stderr } = await ending([], { permissions });
    assertEquals([code, stdout, stderr.length], [78, [], 1]);
    assertMatch(stderr[0]!, line);
  });
}

for (const host of ["127.0.0.1", "localhost"]) {
  Deno.test(`msgbusd exits with 75 if a port of ${host} is in use, and names the address`, async () => {
    await using server = await daemon();
    const address = `${host}:${server.port}`;
    assertEquals(await ending(["--bind", address]), {
      code: 75,
      stdout: [],
      stderr: [
        `msgbusd: Cannot listen on ${address}: the address is in use; take another with --bind, and msgbus --uri`,
      ],
    });
  });
}
