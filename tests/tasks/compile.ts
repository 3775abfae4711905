/**
 * Makes an executable of each program, in `out/bin`. Arguments, such as `--target`, go to `deno compile`.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- a task talks to the person who runs it

import { PROGRAMS } from "./programs.ts";

async function compile(args: string[], env: Record<string, string> = {}): Promise<{ code: number; log: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: ["compile", ...args], env });
  const { code, stderr } = await command.output();
  return { code, log: new TextDecoder().decode(stderr) };
}

for (const { name, entry, permissions } of PROGRAMS) {
  // --bundle, because the executable would hold every npm package of the lock file otherwise, those of the tests too.
  const args = [
    ...permissions,
    "--deny-import",
    "--quiet",
    "--bundle",
    "--output",
    `out/bin/${name}`,
    ...Deno.args,
    entry,
  ];
  let { code, log } = await compile(args);
  // For another platform nothing but its own runtime would do.
  if (code !== 0 && /denort/.test(log) && !Deno.args.includes("--target")) {
    console.error(
      `${name}: the runtime cannot be fetched, packaged with this deno instead: the file shows what would be in it, but runs as deno`,
    );
    ({ code, log } = await compile(args, { DENORT_BIN: Deno.execPath() }));
  }
  if (code !== 0) {
    console.error(log);
    Deno.exit(code);
  }
}
