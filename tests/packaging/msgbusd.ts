/**
 * A msgbusd in a process of its own, however it was packaged.
 *
 * @module
 */

import { assert, assertEquals } from "../deps.ts";

/** A running msgbusd. */
export class Msgbusd implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #log: Promise<string>;

  private constructor(process: Deno.ChildProcess, log: Promise<string>, readonly url: string) {
    this.#process = process;
    this.#log = log;
  }

  /** Runs deno with these arguments, the program among them, and waits until it listens on a free port. */
  static async start(args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
    const command = new Deno.Command(Deno.execPath(), {
      ...options,
      args: [...args, "--bind", "127.0.0.1:0"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
    const process = command.spawn();
    const listening = Promise.withResolvers<string>();
    const log = readLog(process.stderr, listening);
    return new Msgbusd(process, log, await listening.promise);
  }

  /** Stops it as a service manager would, and returns its exit code and log. */
  async stop(): Promise<{ code: number; log: string }> {
    this.#process.kill("SIGTERM");
    const { code } = await this.#process.status;
    return { code, log: await this.#log };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process.status;
    await this.#log;
  }
}

async function readLog(stderr: ReadableStream<Uint8Array>, listening: PromiseWithResolvers<string>): Promise<string> {
  let log = "";
  for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
    log += text;
    const address = /msgbusd listening on (\S+)\n/.exec(log)?.[1];
    if (address) listening.resolve(`http://${address}`);
  }
  listening.reject(new Error(`msgbusd ended before it listened: ${log}`));
  return log;
}

/** Starts msgbusd, sends a message through it, and stops it. */
export async function assertMsgbusdWorks(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<void> {
  await using msgbusd = await Msgbusd.start(args, options);
  const published = await fetch(`${msgbusd.url}/hello`, { method: "POST", body: "Hello World!" });
  assertEquals(published.status, 202);
  assertEquals(await published.text(), "");
  const pulled = await fetch(`${msgbusd.url}/hello`);
  assertEquals(pulled.status, 200);
  const message = await pulled.json();
  assertEquals([message.id, message.topic.name, atob(message.payload)], [0, "hello", "Hello World!"]);
  const { code, log } = await msgbusd.stop();
  assert(code === 0, `msgbusd ended with ${code}: ${log}`);
}
