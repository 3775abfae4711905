/**
 * The machine that is measured on.
 *
 * @module
 */

import { readProc } from "./process.ts";

/** What it is, and what else it did. */
export interface Machine {
  /** How many cores. */
  readonly cores: number;
  /** The processor. */
  readonly processor: string;
  /** The system. */
  readonly os: string;
  /** How many processes wanted to run in the minute before. Empty if unknown. */
  readonly loadBefore: string;
}

/** Looks at this machine. */
export async function machineNow(): Promise<Machine> {
  const cpuinfo = await readProc("cpuinfo") ?? "";
  return {
    cores: navigator.hardwareConcurrency,
    processor: /^model name\s*: (.*)$/m.exec(cpuinfo)?.[1] ?? "unknown processor",
    os: `${Deno.build.os} ${Deno.build.arch}`,
    loadBefore: /^\S+/.exec(await readProc("loadavg") ?? "")?.[0] ?? "",
  };
}

/** Today, as `2026-11-23`. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Writes it and the date as a clause. */
export function formatMachine({ cores, processor, os, loadBefore }: Machine, date: string): string {
  const load = loadBefore === "" ? "" : `, load average in the minute before ${loadBefore}`;
  return `${cores} cores (${processor}), ${os}, ${date}${load}`;
}
