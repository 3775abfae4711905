/**
 * The package as others get it: from a registry, into a project that knows nothing of this repository.
 *
 * @module
 */

import { assertEquals, assertMatch } from "../deps.ts";
import { deno } from "./deno.ts";
import { assertMsgbusdWorks } from "./msgbusd.ts";
import { publishedFiles } from "./published.ts";
import { Registry } from "./registry.ts";
import { PROGRAMS } from "../tasks/programs.ts";

/** An empty project, an empty cache, and a registry to fill them from. */
async function freshProject(): Promise<AsyncDisposable & { cwd: string; env: Record<string, string>; url: string }> {
  const registry = await Registry.start();
  const cwd = await Deno.makeTempDir({ prefix: "msgbus-project-" });
  const cache = await Deno.makeTempDir({ prefix: "msgbus-cache-" });
  return {
    cwd,
    env: { JSR_URL: registry.url, DENO_DIR: cache },
    url: registry.url,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await Deno.remove(cwd, { recursive: true });
      await Deno.remove(cache, { recursive: true });
    },
  };
}

Deno.test("the published package has the programs, the library and the documents, and no tests", async () => {
  const files = await publishedFiles();
  const expected = ["LICENSE", "README.md", "cli.ts", "deno.json", "lib/mod.ts", "main.ts"];
  assertEquals(expected.filter((path) => !files.includes(path)), []);
  assertEquals(files.filter((path) => /^(tests|bench|out|\.)|_test\.ts$|standins/.test(path)), []);
});

Deno.test("jsr:@msgbus/msgbus is a bus in a fresh project", async () => {
  await using project = await freshProject();
  await Deno.writeTextFile(
    `${project.cwd}/hello.ts`,
    `import { MessageBus } from "jsr:@msgbus/msgbus@^0.1.0";

const bus = new MessageBus();
bus.put("foo", "Hello World!");
const message = bus.get("foo");
if (message) console.log(message.id, message.topic.name, message.text());
`,
  );
  const { stdout } = await deno(["run", "--check", "--no-prompt", "hello.ts"], project);
  assertEquals(stdout, "0 foo Hello World!\n");
});

Deno.test("jsr:@msgbus/msgbus can be added to a project by its name", async () => {
  await using project = await freshProject();
  await Deno.writeTextFile(`${project.cwd}/deno.json`, "{}");
  await deno(["add", "jsr:@msgbus/msgbus"], project);
  await Deno.writeTextFile(
    `${project.cwd}/names.ts`,
    `import * as msgbus from "@msgbus/msgbus";\nconsole.log(typeof msgbus.MessageBus);\n`,
  );
  const { stdout } = await deno(["run", "--no-prompt", "names.ts"], project);
  assertEquals(stdout, "function\n");
});

for (const { name, permissions } of PROGRAMS) {
  Deno.test(`jsr:@msgbus/msgbus/${name} --version says the version`, async () => {
    await using project = await freshProject();
    const { stdout } = await deno(["run", ...permissions, `jsr:@msgbus/msgbus/${name}`, "--version"], project);
    assertMatch(stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+`));
  });
}

Deno.test("jsr:@msgbus/msgbus/msgbusd carries a message", async () => {
  await using project = await freshProject();
  const { permissions } = PROGRAMS[0]!;
  await assertMsgbusdWorks(["run", ...permissions, "jsr:@msgbus/msgbus/msgbusd"], project);
});

Deno.test("deno run URL of main.ts carries a message", async () => {
  await using project = await freshProject();
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const { permissions, entry } = PROGRAMS[0]!;
  await assertMsgbusdWorks(["run", ...permissions, `${project.url}@msgbus/msgbus/${version}/${entry}`], project);
});
