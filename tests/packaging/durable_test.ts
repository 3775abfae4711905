/**
 * msgbusd with --data, however it was packaged, with the least permissions that docs/operations.md names.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "../deps.ts";
import { Msgbusd } from "./msgbusd.ts";
import { publishedFiles, ROOT } from "./published.ts";
import { Registry } from "./registry.ts";

const BASE = ["run", "--no-prompt", "--allow-net", "--allow-env=MSGBUSD_*,DENO_SERVE_ADDRESS"];

/** Where a program runs, with what it is given. */
interface Place extends AsyncDisposable {
  readonly cwd: string;
  readonly env?: Record<string, string>;
}

/** An empty folder, and an empty cache. */
async function elsewhere(env: Record<string, string> = {}): Promise<Place> {
  const cwd = await Deno.makeTempDir({ prefix: "msgbus-elsewhere-" });
  const cache = await Deno.makeTempDir({ prefix: "msgbus-cache-" });
  return {
    cwd,
    env: { DENO_DIR: cache, ...env },
    async [Symbol.asyncDispose]() {
      await Deno.remove(cwd, { recursive: true });
      await Deno.remove(cache, { recursive: true });
    },
  };
}

/** Publishes, kills the program with nothing but SIGKILL, starts it again, and pulls. */
async function assertKeeps(args: readonly string[], place: Place): Promise<void> {
  const all = [...args, "--data", "./data"];
  {
    await using first = await Msgbusd.start(all, place);
    const published = await fetch(`${first.url}/hello`, { method: "POST", body: "Hello World!" });
    assertEquals([published.status, published.headers.get("msgbus-durability")], [202, "synced"]);
    await published.body?.cancel();
  }
  await using second = await Msgbusd.start(all, place);
  const pulled = await (await fetch(`${second.url}/hello`)).json();
  assertEquals([pulled.id, atob(pulled.payload)], [0, "Hello World!"]);
  const backup = await fetch(`${second.url}/-/backup`);
  assertEquals((await backup.bytes()).length, Number(backup.headers.get("content-length")));
  const { code, log } = await second.stop();
  assert(code === 0, `msgbusd ended with ${code}: ${log}`);
  assertStringIncludes(log, "journal opened in ./data: 1 message of 1 topic, ");
}

Deno.test("msgbusd.js keeps messages from an empty folder, and reads only itself and its data", async () => {
  await using place = await elsewhere();
  const bundle = new URL("out/bundle/msgbusd.js", ROOT).pathname;
  await assertKeeps([...BASE, `--allow-read=./data,${bundle}`, "--allow-write=./data", bundle], place);
});

Deno.test("deno run URL of msgbusd.js keeps messages, and reads only its data", async () => {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async () => {
    const bundle = await Deno.readFile(new URL("out/bundle/msgbusd.js", ROOT));
    return new Response(bundle, { headers: { "content-type": "text/javascript" } });
  });
  await using place = await elsewhere();
  const url = `http://127.0.0.1:${server.addr.port}/msgbusd.js`;
  await assertKeeps([...BASE, "--allow-read=./data", "--allow-write=./data", url], place);
});

Deno.test("deno run URL of main.ts keeps messages, and reads only its data", async () => {
  await using registry = await Registry.start();
  await using place = await elsewhere({ JSR_URL: registry.url });
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const url = `${registry.url}@msgbus/msgbus/${version}/main.ts`;
  await assertKeeps([...BASE, "--allow-read=./data", "--allow-write=./data", url], place);
});

Deno.test("jsr:@msgbus/msgbus/msgbusd keeps messages, and reads only its data", async () => {
  await using registry = await Registry.start();
  await using place = await elsewhere({ JSR_URL: registry.url });
  await assertKeeps(
    [...BASE, "--allow-read=./data", "--allow-write=./data", "jsr:@msgbus/msgbus/msgbusd"],
    place,
  );
});

Deno.test("deno task start --data ./data keeps messages in a clone", async () => {
  const clone = await Deno.makeTempDir({ prefix: "msgbus-clone-" });
  await using place: Place = { cwd: clone, [Symbol.asyncDispose]: () => Deno.remove(clone, { recursive: true }) };
  const standins: string[] = [];
  for (const folder of Deno.readDirSync(new URL("tests/standins/", ROOT))) {
    if (!folder.isDirectory) standins.push(`tests/standins/${folder.name}`);
    else {
      for (const { name } of Deno.readDirSync(new URL(`tests/standins/${folder.name}/`, ROOT))) {
        standins.push(`tests/standins/${folder.name}/${name}`);
      }
    }
  }
  for (const path of [...await publishedFiles(), "deno.lock", ...standins]) {
    await Deno.mkdir(`${clone}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(new URL(path, ROOT), `${clone}/${path}`);
  }
  const { tasks } = JSON.parse(await Deno.readTextFile(`${clone}/deno.json`));
  // As the task runs it; a task of its own would not end when it is killed.
  const [_, ...args] = tasks.start.command.replaceAll("'", "").split(" ");
  await assertKeeps(args, place);
});
