/**
 * The load generator, a process of its own. Reads a {@linkcode Command} from each line of its standard input and answers
 * with a line of JSON.
 *
 * @module
 */

import { Session, type SessionPlan } from "./session.ts";

/** What to do next. Only one session is open at a time. */
export type Command =
  | { readonly do: "open"; readonly plan: SessionPlan }
  | { readonly do: "publish-in-turn"; readonly ms: number }
  | { readonly do: "publish-steadily"; readonly perSecond: number; readonly ms: number }
  | { readonly do: "close" };

let session: Session | undefined;

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case "open":
      session = await Session.open(command.plan);
      return {};
    case "publish-in-turn":
      return await session!.publishInTurn(command.ms);
    case "publish-steadily":
      return await session!.publishSteadily(command);
    case "close":
      session?.close();
      session = undefined;
      return {};
  }
}

if (import.meta.main) {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    // Whoever gives a line waits for its answer before the next, so a line never comes in pieces with another.
    const result = await obey(JSON.parse(text));
    await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(result)}\n`));
  }
}
