/**
 * The files of the package, as a registry would have them.
 *
 * @module
 */

import { deno } from "./deno.ts";

/** The root of the repository. */
export const ROOT = new URL("../../", import.meta.url);

/** The paths that `deno publish` would send, from the root of the repository. */
export async function publishedFiles(): Promise<string[]> {
  const { stderr } = await deno(["publish", "--dry-run", "--allow-dirty"], { cwd: ROOT.pathname });
  const urls = stderr.matchAll(/^\s+(file:\S+) \(/gm);
  return [...urls].map(([, url]) => url!.slice(ROOT.href.length)).sort();
}
