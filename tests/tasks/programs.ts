/**
 * The programs of this package: where each begins, and the permissions it is released with.
 *
 * @module
 */

/** A program. */
export interface Program {
  readonly name: string;
  /** Its module, from the root of the repository. */
  readonly entry: string;
  /** What it may do. An executable cannot follow options chosen at run time, so its network and files are not scoped. */
  readonly permissions: readonly string[];
}

/** msgbusd and msgbus. */
export const PROGRAMS: readonly Program[] = [
  {
    name: "msgbusd",
    entry: "main.ts",
    permissions: [
      "--no-prompt",
      "--allow-net",
      "--allow-env=MSGBUSD_*,DENO_SERVE_ADDRESS",
      "--allow-read",
      "--allow-write",
    ],
  },
  {
    name: "msgbus",
    entry: "cli.ts",
    // `msgbus sub <topic> <command>` runs any command, `msgbus backup <file>` writes any file.
    permissions: ["--no-prompt", "--allow-net", "--allow-env=MSGBUS_*", "--allow-run", "--allow-read", "--allow-write"],
  },
];
