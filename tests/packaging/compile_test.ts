/**
 * What `deno task compile` bakes into the executables. That they run can be tested only where the runtime that they are
 * made of can be fetched; everywhere else `deno task compile` says so, and bundle_test.ts runs the same code with the
 * same permissions instead.
 *
 * @module
 */

import { assert, assertEquals } from "../deps.ts";
import { PROGRAMS } from "../tasks/programs.ts";
import { ROOT } from "./published.ts";

interface Metadata {
  readonly argv: readonly string[];
  readonly permissions: Record<string, unknown>;
  readonly node_modules: unknown;
  readonly workspace_resolver: { readonly package_jsons: Record<string, unknown> };
  readonly otel_config: { readonly tracing_enabled: boolean };
  readonly app_name: string;
}

/** Reads the metadata that `deno compile` puts behind the runtime: magic, length (u64, little endian), JSON. */
async function embedded(path: URL): Promise<{ metadata: Metadata; rest: string }> {
  const bytes = await Deno.readFile(path);
  const text = new TextDecoder("latin1").decode(bytes);
  const magic = "d3n0l4nd";
  for (let at = text.lastIndexOf(magic); at !== -1; at = text.lastIndexOf(magic, at - 1)) {
    const start = at + magic.length + 8;
    if (text[start] !== "{") continue;
    const length = Number(new DataView(bytes.buffer, at + magic.length).getBigUint64(0, true));
    return { metadata: JSON.parse(text.slice(start, start + length)), rest: text.slice(start + length) };
  }
  throw new Error(`Cannot read metadata: ${path} has none`);
}

/** The permissions that are not refused. */
function granted(permissions: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(permissions).filter(([, value]) => value !== null && value !== false));
}

const EXPECTED: Record<string, Record<string, unknown>> = {
  msgbusd: {
    allow_net: [],
    allow_env: ["MSGBUSD_*", "DENO_SERVE_ADDRESS"],
    allow_read: [],
    allow_write: [],
    deny_import: [],
  },
  msgbus: {
    allow_net: [],
    allow_env: ["MSGBUS_*"],
    allow_run: [],
    allow_read: [],
    allow_write: [],
    deny_import: [],
  },
};

for (const { name } of PROGRAMS) {
  const path = new URL(`out/bin/${name}${Deno.build.os === "windows" ? ".exe" : ""}`, ROOT);

  Deno.test(`${name} is compiled with the permissions it needs, no others, and asks for none`, async () => {
    const { metadata } = await embedded(path);
    // The hosts that may be imported from come with every executable; deny_import takes them back.
    const { allow_import: _, ...permissions } = granted(metadata.permissions);
    assertEquals(permissions, EXPECTED[name]);
    assertEquals(metadata.permissions.prompt, false);
  });

  Deno.test(`${name} is compiled without arguments, tracing and npm packages`, async () => {
    const { metadata, rest } = await embedded(path);
    assertEquals(metadata.argv, []);
    assertEquals(metadata.app_name, name);
    assertEquals(metadata.otel_config.tracing_enabled, false);
    assertEquals(metadata.node_modules, null);
    assertEquals(metadata.workspace_resolver.package_jsons, {});
    assert(!rest.includes("fast-check"), "an npm package of the tests is in the executable");
    assert(rest.includes(name), "the program is not in the executable");
    // The journal's worker is the program itself, by the URL it has in the executable.
    const isWorker = /workerUrl: import\.meta\.url/.test(rest) && rest.includes("CREATE TABLE entry");
    assertEquals(isWorker, name === "msgbusd");
  });
}
