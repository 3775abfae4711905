/**
 * `msgbus backup`: a copy of everything that msgbusd keeps.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { Requests } from "../client/requests.ts";
import { unreachable } from "../client/failure.ts";
import { BusError, quote } from "../errors.ts";
import { formatCount } from "../wire/count.ts";
import { type Command, defineCommand } from "./command.ts";
import { EXIT } from "./exit.ts";
import { type Io, writeText } from "./io.ts";

/** `msgbus backup`. */
export const backup: Command = defineCommand({
  name: "backup",
  synopsis: "<file>",
  summary: "copy everything that msgbusd --data keeps into a file",
  description: `The copy is of one moment; the bus works on meanwhile. It is written to <file>.partial, checked, and
only then called <file>, so that a file of that name is always whole; only you may read it. Prints
its SHA-256 in a line that sha256sum -c reads. - is standard output.

The server must run with --data. It hands out everything it has, all messages of all topics.
msgbusd check <file> verifies a copy; how to restore one: docs/operations.md.`,
  examples: ["msgbus backup bus.db > bus.db.sha256", "msgbus backup - | ssh backups 'cat > bus.db'"],
  flags: {
    force: { help: "replace the file if it is there", initial: false },
  },
  words: [1, 1],
  checkFirst(file) {
    if (file === "") throw new BusError("bad_option", "Cannot back up: the name of the file is empty");
  },
}, async ({ words: [file], values: { force }, client, io }) => {
  const requests = new Requests(client.uri, (url, init) => fetch(url, init));
  using interruption = io.listenForInterrupt();
  const { signal } = interruption;
  try {
    if (file === "-") await toOutput(requests, io, signal);
    else await toFile(requests, file!, { io, force, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    io.say("Interrupted: no copy was made");
    return EXIT.failed;
  }
  return EXIT.done;
});

async function toOutput(requests: Requests, io: Io, signal: AbortSignal): Promise<void> {
  const { sha256, summary } = await copy(requests, (bytes) => io.write(bytes), signal);
  io.say(`backed up ${summary}, SHA-256 ${sha256}`);
}

async function toFile(
  requests: Requests,
  path: string,
  { io, force, signal }: { io: Io; force: boolean; signal: AbortSignal },
): Promise<void> {
  if (!force && await writing(path, () => isThere(path))) {
    throw new BusError("bad_option", `Cannot back up to ${quote(path)}: the file exists; --force replaces it`);
  }
  const partial = `${path}.partial`;
  const { sha256, summary } = await writing(path, async () => {
    // What an earlier attempt may have left, whoever may read it.
    await Deno.remove(partial).catch(unlessMissing);
    using file = await Deno.open(partial, { write: true, createNew: true, mode: 0o600 });
    try {
      const copied = await copy(requests, (bytes) => writeAll(file, bytes), signal);
      await file.sync();
      await Deno.rename(partial, path);
      return copied;
    } catch (error) {
      await Deno.remove(partial).catch(unlessMissing);
      throw error;
    }
  });
  await writing(path, () => syncFolderOf(path));
  await writeText(io, `${sha256}  ${path}\n`);
  io.say(`backed up ${summary}`);
}

/** A copy that was handed out whole. */
interface Copied {
  readonly sha256: string;
  /** What is in it, in words. */
  readonly summary: string;
}

/** Has a copy made, hands it on piece by piece, and checks that it is whole. */
async function copy(
  requests: Requests,
  write: (bytes: Uint8Array) => Promise<void>,
  signal: AbortSignal,
): Promise<Copied> {
  const response = await requests.demand("GET", "/-/backup", { signal });
  const { headers } = response;
  const expected = headers.get("msgbus-sha256");
  if (expected === null || response.body === null) throw requests.unexpected(response, "no backup");
  const hash = createHash("sha256");
  let length = 0;
  for await (const bytes of piecesOf(response.body, requests.uri)) {
    await write(bytes);
    hash.update(bytes);
    length += bytes.length;
  }
  const sha256 = hash.digest("hex");
  if (length !== Number(headers.get("content-length")) || sha256 !== expected) {
    throw requests.unexpected(response, `a backup that was damaged on its way, of ${formatCount(length, "byte")}`);
  }
  const counted = (name: string) => formatCount(Number(headers.get(`msgbus-${name}s`)), name);
  return { sha256, summary: `${counted("message")} of ${counted("topic")}, ${formatCount(length, "byte")}` };
}

/** The pieces of a body; one that breaks off is told as a server that can't be reached. */
async function* piecesOf(body: ReadableStream<Uint8Array>, uri: string): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw unreachable(uri, cause);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may have failed already
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Makes the new name of a file outlive a power cut, too. */
async function syncFolderOf(path: string): Promise<void> {
  // Windows opens no folders.
  if (Deno.build.os === "windows") return;
  using folder = await Deno.open(path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : ".");
  await folder.sync();
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, (error) => {
    unlessMissing(error);
    return false;
  });
}

function unlessMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** Does something with a file; what goes wrong with it is said in a line. */
async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof BusError || cause instanceof Deno.errors.NotCapable || !(cause instanceof Error)) throw cause;
    if (cause.name === "AbortError") throw cause;
    throw new BusError("internal", `Cannot back up to ${quote(path)}: ${cause.message}`, { cause });
  }
}
