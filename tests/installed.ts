/**
 * Programs that a machine may have or not; tests that need one that is not there are skipped, and say so.
 *
 * @module
 */

/** Whether a program is there, may be run, and knows these arguments. */
export async function installed(program: string, args: readonly string[] = ["--version"]): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    // A program that is not there cannot be allowed either.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return false;
    throw error;
  }
}

/** What the name of a test says of a program that is not there. */
export function unlessInstalled(program: string, there: boolean): string {
  return there ? "" : `: not tested, there is no ${program}`;
}
