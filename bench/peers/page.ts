/**
 * The page that keeps the figures, `docs/benchmarks.md`.
 *
 * @module
 */

const PAGE = new URL("../../docs/benchmarks.md", import.meta.url);

/** Puts `report` between the two marks of this name, in place of what is there. */
export async function writePage(name: string, report: string): Promise<void> {
  const [beginMark, endMark] = [`<!-- ${name}:begin -->\n`, `<!-- ${name}:end -->\n`];
  const page = await Deno.readTextFile(PAGE);
  const begin = page.indexOf(beginMark);
  const end = page.indexOf(endMark);
  if (begin < 0 || end < begin) {
    throw new Error(`Cannot write to the page: no ${beginMark.trim()} before ${endMark.trim()}`);
  }
  await Deno.writeTextFile(PAGE, `${page.slice(0, begin + beginMark.length)}\n${report}\n${page.slice(end)}`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["fmt", PAGE.pathname] }).output();
  if (!success) throw new Error(`Cannot format the page: ${new TextDecoder().decode(stderr)}`);
}
