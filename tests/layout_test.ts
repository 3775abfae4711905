/**
 * What holds the code in its shape: who may import whom, where third-party code comes in, what the portable part may
 * use, and the names that say nothing.
 *
 * @module
 */

import { VERSION } from "../lib/version.ts";
import { assert, assertEquals } from "./deps.ts";

const ROOT = new URL("../", import.meta.url);

/**
 * The layers, lowest first. A module imports modules of its own layer's row or of rows above it in this list, so that
 * no cycle runs through two rows.
 */
const LAYERS: readonly (readonly RegExp[])[] = [
  [/^lib\/(errors|event|message|version)\.ts$/],
  [/^lib\/(attributes|topic_name|topic_pattern)\.ts$/],
  [/^lib\/wire\//],
  [/^lib\/bus\//],
  [/^lib\/store\//],
  [/^lib\/deps\//],
  [/^lib\/suggestion\.ts$/],
  [/^lib\/(options|log)\.ts$/, /^lib\/client\//],
  [/^lib\/(http|cli)\//],
  [/^lib\/metrics\//],
  [/^lib\/daemon\//, /^lib\/mod\.ts$/],
  [/^(main|cli)\.ts$/],
];

/** Imports that go up all the same, each for a reason. */
const EXCEPTIONS: ReadonlySet<string> = new Set([
  // A bus keeps its messages in memory unless it is told otherwise.
  "lib/bus/bus.ts -> lib/store/memory.ts",
]);

/** Modules that import nothing at all. */
const LEAVES = ["lib/errors.ts", "lib/event.ts", "lib/message.ts", "lib/version.ts"];

/** What runs in Deno, Node and browsers alike. */
const PORTABLE =
  /^lib\/((bus|wire|client)\/|store\/memory\.ts$|(attributes|errors|event|message|topic_name|topic_pattern|version)\.ts$)/;

/** The text of every file with one of these endings under the given folders and files, by path from the root. */
async function read(paths: readonly string[], ending: RegExp): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const path of paths) {
    const { isDirectory } = await Deno.stat(new URL(path, ROOT));
    if (!isDirectory) files.set(path, await Deno.readTextFile(new URL(path, ROOT)));
    else {
      for (const entry of Deno.readDirSync(new URL(path, ROOT))) {
        const name = `${path}/${entry.name}`;
        if (!entry.isDirectory && !ending.test(entry.name)) continue;
        for (const [found, text] of await read([name], ending)) files.set(found, text);
      }
    }
  }
  return files;
}

/** What a module imports, as written; types too. Examples in comments are indented by a star and do not count. */
function importsOf(source: string): string[] {
  const statements = source.matchAll(
    /^(?:import|export)\s[^;"]*?from\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  return [...statements].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!);
}

function isRelative(specifier: string): boolean {
  return specifier.startsWith("./") || specifier.startsWith("../");
}

function resolved(specifier: string, from: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

function layerOf(path: string): number {
  return LAYERS.findIndex((patterns) => patterns.some((pattern) => pattern.test(path)));
}

/** The imports that go up, and the modules that are in no layer. */
function wrongWays(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, source]) => {
    if (layerOf(path) === -1) return [`${path} is in no layer`];
    return importsOf(source).filter(isRelative)
      .map((specifier) => resolved(specifier, path))
      .filter((target) => layerOf(target) > layerOf(path))
      .map((target) => `${path} -> ${target}`)
      .filter((arrow) => !EXCEPTIONS.has(arrow));
  });
}

/** Imports of anything but this package's own files, outside the modules that exist for it. */
function strays(files: ReadonlyMap<string, string>): string[] {
  const home = /^lib\/deps\/|^tests\/(standins\/|deps(_\w+)?\.ts$)/;
  return [...files].filter(([path]) => !home.test(path)).flatMap(([path, source]) =>
    importsOf(source).filter((specifier) => !isRelative(specifier) && !specifier.startsWith("node:"))
      .map((specifier) => `${path} -> ${specifier}`)
  );
}

/** Everything that a module reaches, itself included. */
function reach(entry: string, files: ReadonlyMap<string, string>, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const targets = importsOf(files.get(entry) ?? "").filter(isRelative).map((specifier) => resolved(specifier, entry));
  for (const target of targets) reach(target, files, seen);
  return seen;
}

/** The lines that use what only Deno or Node has. */
function platformUses(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, source]) =>
    source.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "").split("\n")
      // The `using` declaration is newer than the oldest Node that is supported.
      .filter((line) => /\bDeno\.|\bprocess\.|["']node:|\bBuffer\.|^\s*(await )?using \w+ =/.test(line))
      .map((line) => `${path}: ${line.trim()}`)
  );
}

const program = await read(["main.ts", "cli.ts", "lib"], /\.ts$/);
const tests = await read(["tests", "bench"], /\.ts$/);

Deno.test("imports point one way", () => {
  assertEquals(wrongWays(program), []);
});

Deno.test("an import that goes up is found, and so is a module in no layer", () => {
  const planted = new Map([
    ["lib/bus/x.ts", 'import { a } from "../http/handler.ts";'],
    ["lib/wire/x.ts", 'export {\n  a,\n} from "../bus/bus.ts";'],
    ["lib/http/x.ts", 'const a = await import("../../main.ts");\nimport { b } from "../bus/bus.ts";'],
    ["lib/new.ts", ""],
  ]);
  assertEquals(wrongWays(planted), [
    "lib/bus/x.ts -> lib/http/handler.ts",
    "lib/wire/x.ts -> lib/bus/bus.ts",
    "lib/http/x.ts -> main.ts",
    "lib/new.ts is in no layer",
  ]);
});

Deno.test("every exception is still needed", () => {
  const arrows = [...program].flatMap(([path, source]) =>
    importsOf(source).filter(isRelative).map((specifier) => `${path} -> ${resolved(specifier, path)}`)
  );
  assertEquals([...EXCEPTIONS].filter((arrow) => !arrows.includes(arrow)), []);
});

Deno.test("errors, message and version import nothing", () => {
  assertEquals(LEAVES.flatMap((path) => importsOf(program.get(path)!)), []);
});

Deno.test("third-party code comes in through lib/deps and tests/deps only", () => {
  assertEquals(strays(new Map([...program, ...tests])), []);
  const planted = new Map([["lib/log.ts", 'import a from "npm:a@^1";'], [
    "lib/deps/a.ts",
    'import a from "npm:a@^1";',
  ]]);
  assertEquals(strays(planted), ["lib/log.ts -> npm:a@^1"]);
});

Deno.test("the library loads neither the command line nor the log", () => {
  const library = reach("lib/mod.ts", program);
  assert(library.has("lib/bus/bus.ts"));
  assertEquals(
    [...library].filter((path) => /^lib\/(deps\/(cli|log)\.ts|log\.ts|options\.ts|daemon\/)/.test(path)),
    [],
  );
  assert(reach("main.ts", program).has("lib/deps/log.ts"));
});

Deno.test("the bus, its formats and the client use nothing that only Deno or Node has", () => {
  assertEquals(platformUses(new Map([...program].filter(([path]) => PORTABLE.test(path)))), []);
  assertEquals(platformUses(new Map([["lib/bus/x.ts", "// Deno.serve\nDeno.exit(1);"]])), [
    "lib/bus/x.ts: Deno.exit(1);",
  ]);
  assertEquals(platformUses(new Map([["lib/bus/x.ts", "  using lock = take();"]])), [
    "lib/bus/x.ts: using lock = take();",
  ]);
});

Deno.test("no file is named after nothing", () => {
  const nothing = /(^|\/)(utils?|helpers?|common|types|misc|shared)\.ts$/;
  assertEquals([...program.keys(), ...tests.keys()].filter((path) => nothing.test(path)), []);
  assert(nothing.test("lib/bus/utils.ts") && !nothing.test("lib/bus/topic.ts"));
});

Deno.test("no command grants everything", async () => {
  const everything = /(^|[\s"'`])-A\b|--allow-all/m;
  const files = await read(
    ["deno.json", "README.md", "CONTRIBUTING.md", "docs", ".ci", ".github"],
    /\.(md|ya?ml|json|html)$|^run$/,
  );
  assertEquals([...files].filter(([, text]) => everything.test(text)).map(([path]) => path), []);
  assert(["deno run -A main.ts", '"-A"', "--allow-all"].every((text) => everything.test(text)));
});

Deno.test("VERSION is the version of deno.json, and the change log has it", async () => {
  assertEquals(JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))).version, VERSION);
  const changes = await Deno.readTextFile(new URL("CHANGELOG.md", ROOT));
  assert(changes.split("\n").some((line) => line.startsWith("## ") && line.includes(VERSION)));
});

Deno.test("every file that the map of docs/architecture.md names is there", async () => {
  const page = await Deno.readTextFile(new URL("docs/architecture.md", ROOT));
  const map = page.slice(page.indexOf("```text"), page.indexOf("```\n", page.indexOf("```text") + 3));
  const inBus = map.slice(map.indexOf("lib/bus/"), map.indexOf("lib/store/")).match(/\b[a-z_]+\.ts\b/g) ?? [];
  const named = [
    ...map.match(/\b(?:lib\/[a-z_/]+(?:\.ts)?|main\.ts|cli\.ts)/g) ?? [],
    ...inBus.map((name) => `lib/bus/${name}`),
  ];
  assert(named.length > 25);
  for (const path of named) assert((await Deno.stat(new URL(path, ROOT))).size > 0, path);
  const files = [...await read(["lib/bus"], /\.ts$/)].map(([path]) => path);
  assertEquals(files.filter((path) => !named.includes(path)), [], "not on the map");
});
