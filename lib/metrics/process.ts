/**
 * What the platform says of the process. None of it needs a permission.
 *
 * @module
 */

/** The process now. */
export interface ProcessState {
  /** Memory it occupies. */
  readonly residentBytes: number;
  /** When it began, in seconds since the Unix epoch. */
  readonly startSeconds: number;
  /** How long it has run. */
  readonly uptimeSeconds: number;
  /** Processor time of all its threads; `undefined` where the platform doesn't tell. */
  readonly cpuSeconds: number | undefined;
}

/** Looks at the process. */
export function processState(): ProcessState {
  // Not in Deno's types. `process.cpuUsage` asks the same, but loads Node's modules for it: 8 MB and 17 ms.
  const cpu = (Deno as { cpuUsage?(): { readonly system: number; readonly user: number } }).cpuUsage?.();
  return {
    residentBytes: Deno.memoryUsage().rss,
    startSeconds: performance.timeOrigin / 1000,
    uptimeSeconds: performance.now() / 1000,
    cpuSeconds: cpu === undefined ? undefined : (cpu.system + cpu.user) / 1e6,
  };
}
