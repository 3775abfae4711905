/**
 * The help texts, made of the same tables that arguments are read with.
 *
 * @module
 */

import type { CommandInfo } from "./command.ts";
import { type Flags, spelling } from "./flags.ts";

/** What `msgbus help <command>` prints. */
export function helpOf(info: CommandInfo, commonFlags: Flags): string {
  const { name, alias, synopsis, summary, description, examples, flags } = info;
  return `msgbus ${name}: ${summary}

Usage: ${`msgbus ${name} ${synopsis}`.trimEnd()}${alias === undefined ? "" : `   (also: msgbus ${alias})`}

${description}

Flags:
${flagRows({ ...flags, ...commonFlags })}

${examples.length === 1 ? "Example" : "Examples"}:
${examples.map((example) => `  ${example}`).join("\n")}
`;
}

/** What `msgbus help` prints. */
export function overview(commands: readonly CommandInfo[], flags: Flags): string {
  const rows = commands.map(({ name, alias, synopsis, summary }) => [
    `${name} ${synopsis}`.trimEnd(),
    alias === undefined ? summary : `${summary} (also: ${alias})`,
  ]);
  return `msgbus: a client of the message bus msgbusd

Usage: msgbus <command> [arguments]
       msgbus help <command>

Commands:
${table(rows)}

Flags:
${flagRows(flags)}

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing there, 4 server unreachable.

Examples:
  msgbus sub hello
  msgbus pub hello 'Hello World!'
`;
}

function flagRows(flags: Flags): string {
  return table(
    Object.entries(flags).map(([name, flag]) => {
      const value = "value" in flag ? ` ${flag.value}` : "";
      const more = "value" in flag
        ? [shown(flag), "env" in flag && flag.env !== undefined ? `or set ${flag.env}` : ""]
          .filter((part) => part !== "").join("; ")
        : "";
      return [
        `${flag.short === undefined ? "    " : `-${flag.short}, `}${spelling(name, flag)}${value}`,
        more === "" ? flag.help : `${flag.help} (${more})`,
      ];
    }),
  );
}

/** The value of a flag that is not given; one that isn't text is told in its help. */
function shown(flag: Flags[string]): string {
  return "value" in flag && typeof flag.initial === "string" ? flag.initial : "";
}

function table(rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([left]) => left!.length));
  return rows.map(([left, right]) => `  ${left!.padEnd(width)}  ${right}`).join("\n");
}
