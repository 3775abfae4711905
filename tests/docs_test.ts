/**
 * The documentation says what the code does.
 *
 * @module
 */

import { MessageBus } from "../lib/bus/bus.ts";
import { systemClock } from "../lib/bus/clock.ts";
import { Endpoints } from "../lib/http/endpoints.ts";
import { STATUS } from "../lib/http/respond.ts";
import { ERROR_CODES, type ErrorCode } from "../lib/errors.ts";
import { FAMILIES } from "../lib/metrics/families.ts";
import { defaultText, environmentName, OPTIONS, type OptionSpec } from "../lib/options.ts";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./deps.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

/** The rows of all tables of a page, as their cells. */
function rowsOf(page: string): string[][] {
  const rows = page.split("\n").filter((line) => line.startsWith("| "));
  return rows.map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")));
}

// What never leaves as an answer of msgbusd: conditions of its start, of the library and of its clients.
const NOT_OVER_HTTP: readonly ErrorCode[] = [
  "address_in_use",
  "bad_option",
  "not_synchronous",
  "store_damaged",
  "store_exposed",
  "store_locked",
  "store_unwritable",
  "unexpected_answer",
  "unreachable",
];

Deno.test("docs/http-api.md lists each error with its status", async () => {
  const listed = rowsOf(await read("docs/http-api.md"))
    .filter(([code, status]) => /^`[a-z_]+`$/.test(code!) && /^[45]\d\d$/.test(status!))
    .map(([code, status]) => [code!.slice(1, -1), Number(status)]);
  const sent = ERROR_CODES.filter((code) => !NOT_OVER_HTTP.includes(code)).map((code) => [code, STATUS[code]]);
  assertEquals(Object.fromEntries(listed), Object.fromEntries(sent));
  assertEquals(listed.length, sent.length);
});

Deno.test("docs/http-api.md names each endpoint", async () => {
  const page = await read("docs/http-api.md");
  const { names } = new Endpoints({
    bus: new MessageBus(),
    metrics: () => "",
    backup: undefined,
    refusal: undefined,
    stallMs: 1,
    clock: systemClock,
  });
  assertGreater(names.length, 8);
  for (const name of names) assertStringIncludes(page, `/${name}`);
});

Deno.test("docs/library.md lists the errors that only programs see", async () => {
  const page = await read("docs/library.md");
  for (const code of NOT_OVER_HTTP) assertStringIncludes(page, `\`${code}\``);
});

Deno.test("docs/operations.md lists each option as --help does", async () => {
  const page = rowsOf(await read("docs/operations.md"));
  for (const spec of Object.values(OPTIONS) as OptionSpec<unknown>[]) {
    const flags = `\`--${spec.flag}\`${spec.short === undefined ? "" : `, \`-${spec.short}\``}`;
    const row = page.find(([cell]) => cell === flags);
    assertEquals(row, [flags, `\`${environmentName(spec)}\``, defaultText(spec), spec.help], flags);
  }
});

Deno.test("docs/operations.md lists each metric as /metrics does, in the same order", async () => {
  const listed = rowsOf(await read("docs/operations.md"))
    .filter(([, type]) => /^(counter|gauge|histogram)$/.test(type!));
  assertEquals(
    listed,
    FAMILIES.map(({ name, type, labels = [], help }) => {
      return [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), help];
    }),
  );
});

Deno.test("docs/guarantees.md names a test for each sentence, and each is there", async () => {
  const page = await read("docs/guarantees.md");
  const promises = page.split(/^- /m).slice(1).filter((item) => item.startsWith("**"));
  const unheld = promises.filter((item) => !item.includes("_test.ts`")).map((item) => item.slice(0, 40));
  const missing: string[] = [];
  for (const [, name, path] of page.matchAll(/^ {2}- `([^]*?)`\s+in\s+`(\S*)`$/gm)) {
    const source = await read(`tests/${path}`).catch(() => "");
    if (!source.includes(`"${name}"`) && !source.includes(`\`${name}\``)) missing.push(`${path}: ${name}`);
  }
  assertEquals({ unheld, missing }, { unheld: [], missing: [] });
  assert(promises.length >= 15);
});

/** The anchors of a page: its headings as links write them. */
function anchorsOf(page: string): string[] {
  const headings = page.split("\n").filter((line) => /^#{1,6} /.test(line)).map((line) => line.replace(/^#+ /, ""));
  return headings.map((heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} -]/gu, "").replaceAll(" ", "-"));
}

Deno.test("links between the pages of the documentation lead somewhere", async () => {
  const names = Array.from(Deno.readDirSync(new URL("../docs/", import.meta.url)), ({ name }) => `docs/${name}`);
  const pages = new Map<string, string>();
  for (const path of ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...names]) pages.set(path, await read(path));
  const dead: string[] = [];
  for (const [path, page] of pages) {
    for (const [, target, anchor] of page.matchAll(/\]\(([^)#:]*)(?:#([^)]*))?\)/g)) {
      const to = target === "" ? path : new URL(target!, `file:///${path}`).pathname.slice(1);
      const found = pages.get(to);
      if (
        to.endsWith(".md") ? found === undefined || (anchor !== undefined && !anchorsOf(found).includes(anchor)) : false
      ) {
        dead.push(`${path}: ${target}#${anchor}`);
      }
    }
  }
  assertEquals(dead, []);
});
