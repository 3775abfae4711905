/**
 * msgbus: publishes, subscribes and pulls from the shell. `msgbus help` tells how.
 *
 * @module
 */

import { processIo } from "./lib/cli/io.ts";
import { main } from "./lib/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args, processIo));
