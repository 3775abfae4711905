import { COMMON_FLAGS } from "../../lib/cli/command.ts";
import { EXIT_CODE } from "../../lib/cli/exit.ts";
import { helpOf } from "../../lib/cli/help.ts";
import { COMMANDS } from "../../lib/cli/main.ts";
import { assertEquals, assertStringIncludes } from "../deps.ts";
import { msgbus } from "../processes.ts";

const page = await Deno.readTextFile(new URL("../../docs/cli.md", import.meta.url));

Deno.test("docs/cli.md has the help of msgbus and of each command, word for word", async () => {
  assertStringIncludes(page, (await msgbus(["help"])).stdout);
  for (const command of COMMANDS) {
    assertStringIncludes(page, `\n## ${command.name}\n\n\`\`\`text\n${helpOf(command, COMMON_FLAGS)}\`\`\`\n`);
  }
});

Deno.test("docs/cli.md has the exit code of each error", () => {
  const codesOf = (part: string) => [...part.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]!);
  const sentence = /Each error[^]*?: ([^]*?) are 2, ([^]*?)\s+are 3, ([^]*?) is 4, and all others are 1\./.exec(page)!;
  const told = Object.fromEntries(
    [2, 3, 4].flatMap((exit) => codesOf(sentence[exit - 1]!).map((code) => [code, exit])),
  );
  assertEquals(told, Object.fromEntries(Object.entries(EXIT_CODE).filter(([, exit]) => exit !== 1)));
});
