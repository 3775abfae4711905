/**
 * Takes the stand-ins out of `deno.json`, so that what is built, tested and published from then on uses the real
 * packages. For a machine that releases; undo it with git.
 *
 * @module
 */

const { workspace: _workspace, links: _links, ...config } = JSON.parse(await Deno.readTextFile("deno.json"));

// The lock file knows the stand-ins. Nothing in it is true of the real packages.
await Deno.writeTextFile("deno.json", `${JSON.stringify({ ...config, lock: false }, null, 2)}\n`);
await Deno.remove("tests/standins", { recursive: true });
