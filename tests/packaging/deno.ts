/**
 * A deno command, run to its end.
 *
 * @module
 */

/** Runs deno. Throws with what it wrote if it fails; returns what it wrote to standard output and error otherwise. */
export async function deno(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<{ stdout: string; stderr: string }> {
  const env = { ...options.env, NO_COLOR: "1" };
  const output = await new Deno.Command(Deno.execPath(), { cwd: options.cwd, env, args: [...args] }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes)) as [
    string,
    string,
  ];
  if (!output.success) throw new Error(`deno ${args.join(" ")} ended with ${output.code}: ${stdout}${stderr}`);
  return { stdout, stderr };
}
