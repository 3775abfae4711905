/**
 * What a process and those it has started have used, as `/proc` tells.
 *
 * @module
 */

/** Resident memory, in bytes. */
export interface Memory {
  /** Now. */
  readonly nowBytes: number;
  /** The most since it started. */
  readonly mostBytes: number;
}

/** The processor time all their threads have used, in milliseconds; `undefined` where there is no `/proc`. */
export async function cpuMsOf(pid: number): Promise<number | undefined> {
  return await sumOf(pid, "stat", parseCpuMs);
}

/** The memory they occupy now, and the most each has occupied; `undefined` where there is no `/proc`. */
export async function memoryOf(pid: number): Promise<Memory | undefined> {
  const nowBytes = await sumOf(pid, "status", (status) => parseBytes(status, "VmRSS"));
  const mostBytes = await sumOf(pid, "status", (status) => parseBytes(status, "VmHWM"));
  return nowBytes === undefined || mostBytes === undefined ? undefined : { nowBytes, mostBytes };
}

async function sumOf(pid: number, file: string, parse: (text: string) => number): Promise<number | undefined> {
  const pids = [pid, ...await childrenOf(pid)];
  const texts = await Promise.all(pids.map((pid) => readProc(`${pid}/${file}`)));
  return texts[0] === undefined
    ? undefined
    : texts.reduce((sum, text) => sum + (text === undefined ? 0 : parse(text)), 0);
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readProc(`${pid}/task/${pid}/children`);
  return text === undefined ? [] : text.split(" ").filter((word) => word !== "").map(Number);
}

/** A file of `/proc`; `undefined` where there is none. Only programs with every permission may read it, hence by `cat`. */
export async function readProc(file: string): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("cat", { args: [`/proc/${file}`], stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

// Linux counts in ticks of 1/100 s on every common build, whatever the timer of the kernel.
const MS_PER_TICK = 10;

/** `utime` and `stime` of proc_pid_stat(5), fields 14 and 15; the name in field 2 may contain spaces. */
function parseCpuMs(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** A size of proc_pid_status(5), in units of 1024 bytes. */
function parseBytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}
