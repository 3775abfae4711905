/**
 * Programs under strace: what they do to a directory is recorded, and what the kernel answers them can be falsified.
 *
 * @module
 */

import { installed, unlessInstalled } from "../installed.ts";
import { TRACED } from "./trace.ts";

/** Whether strace is there and may trace a process; containers may forbid it. */
export const HAS_STRACE = await installed("strace", ["-f", "-o", "/dev/null", "strace", "--version"]);

/** What the name of a test says where there is no strace. */
export const WITHOUT_STRACE = unlessInstalled("strace that may trace", HAS_STRACE);

/** Longer than any write. */
const STRING_LIMIT = 2 ** 24;

/** What strace is to do. */
export interface Tracing {
  /** Where it writes what it sees. */
  readonly traceFile: string;
  /** The system calls that it sees. */
  readonly calls: readonly string[];
  /** Only calls about these files; default: all. */
  readonly paths?: readonly string[];
  /**
   * What it answers instead of the kernel, as in `fsync:error=EIO:when=3`, or what it sends the program, as in
   * `fsync:signal=SIGKILL:when=3`. Calls are counted for each thread.
   */
  readonly inject?: string;
  /** How much of what is written is seen, in bytes. Default: everything. */
  readonly maxBytes?: number;
}

/**
 * The program that runs another one under strace. The other one is the process that is started, with its signals and its
 * exit code; the trace is whole a moment after its end.
 */
export function straced({ traceFile, calls, paths = [], inject, maxBytes = STRING_LIMIT }: Tracing): string[] {
  // It sends none (strace 6.1) from the stops that make it quick.
  const quick = inject?.includes(":signal=") ? [] : ["--seccomp-bpf"];
  return [
    ...["strace", "-D", "-f", ...quick, "-y", "-xx", "-s", `${maxBytes}`, "-o", traceFile],
    ...["-e", `trace=${calls.join()}`, "-e", "signal=none"],
    ...paths.flatMap((path) => ["-P", path]),
    ...inject === undefined ? [] : ["-e", `inject=${inject}`],
  ];
}

/** A directory of its own that is removed when it is disposed. */
export function scratch(): { readonly path: string } & Disposable {
  const path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "msgbus-disk-" }));
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Runs a module of the tests to its end, recorded, and gives the trace; throws if it fails. */
export async function record(
  module: URL,
  options: { readonly directory: string; readonly args: readonly string[] },
): Promise<Uint8Array> {
  const { directory, args } = options;
  using own = scratch();
  const traceFile = `${own.path}/trace`;
  const [strace, ...tracing] = straced({ traceFile, calls: TRACED });
  const { success, stderr } = await new Deno.Command(strace!, {
    args: [
      ...tracing.filter((arg) => arg !== "-D"),
      ...[
        Deno.execPath(),
        "run",
        "--quiet",
        "--no-prompt",
        "--no-check",
        "--allow-read",

        `--allow-write=${directory}`,
      ],
      ...[module.href, directory, ...args],
    ],
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(`Cannot record ${module.href}: ${new TextDecoder().decode(stderr)}`);
  return await Deno.readFile(traceFile);
}
