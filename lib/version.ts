/** The version of this package; equal to the one in `deno.json`. */
export const VERSION = "0.1.0";
