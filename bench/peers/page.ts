/**
 * The page that keeps the figures, `docs/benchmarks.md`.
 *
 * @module
 */

const PAGE = new URL("../../docs/benchmarks.md", import.meta.url);
const BEGIN = "<!-- peers:begin -->\n";
const END = "<!-- peers:end -->\n";

/** Puts `report` between the two marks of the page, in place of what is there. */
export async function writePage(report: string): Promise<void> {
  const page = await Deno.readTextFile(PAGE);
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`Cannot write to the page: no ${BEGIN.trim()} before ${END.trim()}`);
  await Deno.writeTextFile(PAGE, `${page.slice(0, begin + BEGIN.length)}\n${report}\n${page.slice(end)}`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["fmt", PAGE.pathname] }).output();
  if (!success) throw new Error(`Cannot format the page: ${new TextDecoder().decode(stderr)}`);
}
