/**
 * The library where there is no Deno: in Node, and in a browser if one is installed.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "../deps.ts";
import { deno } from "./deno.ts";
import { ROOT } from "./published.ts";

const SAID = "0 foo Hello World!, pushed Hello World!";

/** Runs a program that may not be installed; `undefined` if it is not. */
async function runIfInstalled(program: string, args: string[]): Promise<Deno.CommandOutput | undefined> {
  try {
    return await new Deno.Command(program, { args }).output();
  } catch (error) {
    // A program that is not there cannot be allowed either.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** The hello program as one file, for whatever runs it. */
async function bundleHello(folder: string): Promise<string> {
  const args = ["--platform", "browser", "--output", `${folder}/hello.mjs`, "tests/packaging/hello.ts"];
  await deno(["bundle", ...args], { cwd: ROOT.pathname });
  return `${folder}/hello.mjs`;
}

const installed = {
  node: await runIfInstalled("node", ["--version"]) !== undefined,
  chromium: await runIfInstalled("chromium", ["--version"]) !== undefined,
};

Deno.test({
  name: `the library works in Node${installed.node ? "" : ": not tested, there is no node"}`,
  ignore: !installed.node,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "msgbus-node-" });
    try {
      const output = await runIfInstalled("node", [await bundleHello(folder)]);
      assertEquals(new TextDecoder().decode(output!.stderr), "");
      assertEquals(new TextDecoder().decode(output!.stdout), `${SAID}\n`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: `the library works in a browser${installed.chromium ? "" : ": not tested, there is no chromium"}`,
  ignore: !installed.chromium,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "msgbus-browser-" });
    try {
      const program = await Deno.readTextFile(await bundleHello(folder));
      await Deno.writeTextFile(`${folder}/hello.html`, `<!doctype html><script type="module">${program}</script>`);
      const output = await runIfInstalled("chromium", [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        `--user-data-dir=${folder}/profile`,
        "--virtual-time-budget=5000",
        "--dump-dom",
        `file://${folder}/hello.html`,
      ]);
      assertStringIncludes(new TextDecoder().decode(output!.stdout), `<title>${SAID}</title>`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
