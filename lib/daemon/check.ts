/**
 * `msgbusd check`: whether what was kept is whole.
 *
 * @module
 */

import { escapeControls } from "../errors.ts";
import type { CheckOptions } from "../options.ts";
import { checkJournal, type JournalReport } from "../store/check.ts";
import { EXIT } from "./lifecycle.ts";

/**
 * Verifies a journal; resolves to what to print, and the exit code.
 *
 * @throws {BusError} as `checkJournal`.
 */
export async function check({ path, json }: CheckOptions): Promise<{ text: string; exitCode: number }> {
  const report = await checkJournal(path);
  const exitCode = report.faults.length === 0 ? EXIT.drained : EXIT.damaged;
  return { text: json ? jsonOf(report) : linesOf(report), exitCode };
}

function jsonOf(report: JournalReport): string {
  return `${JSON.stringify({ ok: report.faults.length === 0, ...report })}\n`;
}

function linesOf(
  { path, isBackup, commits, topics, messages, bytes, groups, scheduled, faults }: JournalReport,
): string {
  const lines = [
    `${path}: ${isBackup ? "a backup" : "a journal"} of ${commits} transactions`,
    `${groups} groups, ${scheduled} messages to be published later`,
    ...faults,
    faults.length === 0
      ? `ok: ${messages} messages of ${topics} topics, ${bytes} bytes; all ids are in order, all checksums are right`
      : `damaged: ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`,
  ];
  return lines.map((line) => `${escapeControls(line)}\n`).join("");
}
