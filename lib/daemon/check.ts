/**
 * `msgbusd check`: whether what was kept is whole.
 *
 * @module
 */

import { escapeControls } from "../errors.ts";
import type { CheckOptions } from "../options.ts";
import { checkJournal, type JournalReport } from "../store/check.ts";
import { formatCount } from "../wire/count.ts";
import { EXIT } from "./lifecycle.ts";

/**
 * Verifies a journal; resolves to what to print, and the exit code.
 *
 * @throws {BusError} as `checkJournal`.
 */
export async function check({ path, json }: CheckOptions): Promise<{ text: string; exitCode: number }> {
  const report = await checkJournal(path);
  const isWhole = report.problems.length === 0;
  const text = json ? `${JSON.stringify({ ok: isWhole, ...report })}\n` : linesOf(report);
  return { text, exitCode: isWhole ? EXIT.drained : EXIT.damaged };
}

function linesOf({ topics, messages, bytes, groups, scheduled, problems }: JournalReport): string {
  const kept = `${formatCount(messages, "message")} of ${formatCount(topics, "topic")}, ${formatCount(bytes, "byte")}`;
  const what = `${kept}, ${formatCount(groups, "group")}, ${scheduled} scheduled`;
  const lines = problems.length === 0
    ? [`ok: ${what}; no id is missing, and all checksums are right`]
    : [...problems, `damaged: ${what}; problems: ${problems.length}`];
  return lines.map((line) => `${escapeControls(line)}\n`).join("");
}
