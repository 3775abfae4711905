/**
 * The one-file programs that `deno task bundle` makes, run with the permissions of the executables.
 *
 * @module
 */

import { assertEquals, assertMatch } from "../deps.ts";
import { PROGRAMS } from "../tasks/programs.ts";
import { deno } from "./deno.ts";
import { assertMsgbusdWorks, Msgbusd } from "./msgbusd.ts";
import { ROOT } from "./published.ts";

/** A folder that knows nothing of this repository, and an empty cache. */
async function elsewhere(): Promise<AsyncDisposable & { cwd: string; env: Record<string, string> }> {
  const cwd = await Deno.makeTempDir({ prefix: "msgbus-elsewhere-" });
  return {
    cwd,
    env: { DENO_DIR: `${cwd}/cache` },
    [Symbol.asyncDispose]: () => Deno.remove(cwd, { recursive: true }),
  };
}

/** Serves the bundles on a free port of loopback. */
function serveBundles(): AsyncDisposable & { url: string } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const bundle = new URL(`out/bundle${new URL(request.url).pathname}`, ROOT);
    return new Response(await Deno.readFile(bundle), { headers: { "content-type": "text/javascript" } });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

for (const { name, permissions } of PROGRAMS) {
  Deno.test(`deno run URL of ${name}.js says the version, with the permissions of the executable`, async () => {
    await using server = serveBundles();
    await using folder = await elsewhere();
    const { stdout } = await deno(["run", ...permissions, `${server.url}/${name}.js`, "--version"], folder);
    assertMatch(stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+`));
  });

  Deno.test(`${name}.js needs no other file`, async () => {
    await using folder = await elsewhere();
    const bundle = new URL(`out/bundle/${name}.js`, ROOT).pathname;
    const { stdout } = await deno(["info", "--json", "--no-config", bundle], folder);
    const specifiers = JSON.parse(stdout).modules.map((module: { specifier: string }) => module.specifier);
    assertEquals(specifiers.filter((specifier: string) => !specifier.startsWith("node:")).length, 1);
  });
}

Deno.test("deno run URL of msgbusd.js carries a message, with the permissions of the executable", async () => {
  await using server = serveBundles();
  await using folder = await elsewhere();
  await assertMsgbusdWorks(["run", ...PROGRAMS[0]!.permissions, `${server.url}/msgbusd.js`], folder);
});

Deno.test("msgbus.js publishes to msgbusd.js and pulls, with the permissions of the executables", async () => {
  await using folder = await elsewhere();
  const [msgbusd, msgbus] = PROGRAMS.map(({ name, permissions }) => {
    return ["run", ...permissions, new URL(`out/bundle/${name}.js`, ROOT).pathname];
  });
  await using server = await Msgbusd.start(msgbusd!, folder);
  const env = { ...folder.env, MSGBUS_URI: server.url };
  await deno([...msgbus!, "pub", "hello", "Hello World!"], { ...folder, env });
  const { stdout } = await deno([...msgbus!, "pull", "hello"], { ...folder, env });
  assertMatch(stdout, /received message: id=0 topic=hello payload=Hello World!\n$/);
  assertEquals((await server.stop()).code, 0);
});

Deno.test("deno task start has the permissions of the executable, but writes to ./data only", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const { permissions, entry } = PROGRAMS[0]!;
  const scopes: Record<string, string> = { "--allow-read": "--allow-read=.", "--allow-write": "--allow-write=./data" };
  const scoped = permissions.map((permission) => scopes[permission] ?? permission);
  assertEquals(tasks.start.command.replaceAll("'", ""), `deno run ${scoped.join(" ")} ${entry}`);
});
