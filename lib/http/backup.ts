/**
 * The endpoint that hands out a copy of everything the bus keeps.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";
import { BusError } from "../errors.ts";
import type { Endpoint } from "./endpoints.ts";
import { ReaderStalled } from "./push_stream.ts";
import { addStandardHeaders, emptyResponse } from "./respond.ts";

/** A copy of everything the bus keeps, as it was at one moment. */
export interface BackupCopy {
  /** How long it is. */
  readonly bytes: number;
  /** Its SHA-256, in hexadecimal digits. */
  readonly sha256: string;
  /** The topics that there were when it was made. */
  readonly topics: number;
  /** The messages that there were then. */
  readonly messages: number;
  /** Reads on into `buffer`; resolves to how many bytes that were, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Removes it. */
  close(): void;
}

/** Makes a copy of everything the bus keeps. */
export type BackupSource = () => Promise<BackupCopy>;

/** How to hand a copy out. */
export interface BackupOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** How long a client may read nothing before the copy is removed, in milliseconds. */
  readonly stallMs: number;
}

const CHUNK_BYTES = 64 * 1024;
/** What is known of a copy before there is one. */
const COPY_HEADERS = {
  "content-type": "application/vnd.sqlite3",
  "content-disposition": 'attachment; filename="msgbus-backup.db"',
};

/** The endpoint, by name. Without a source it says that there is nothing to copy. */
export function backupEndpoints(
  source: BackupSource | undefined,
  options: BackupOptions,
): Readonly<Record<string, Endpoint>> {
  let busy = false;
  return {
    "-/backup": {
      GET: {
        async run({ request }) {
          if (source === undefined) {
            throw new BusError("no_endpoint", "Cannot back up: the server keeps everything in memory; it needs --data");
          }
          // To look whether there is one must not cost one.
          if (request.method === "HEAD") return emptyResponse(200, COPY_HEADERS);
          if (busy) {
            throw new BusError("overloaded", "Cannot back up: another backup is being made");
          }
          busy = true;
          try {
            return answerOf(await source(), options, () => busy = false);
          } catch (error) {
            busy = false;
            throw refusalOf(error);
          }
        },
      },
    },
  };
}

/** What a client is told when there is no copy: not where the server keeps what. */
function refusalOf(cause: unknown): BusError {
  const code = cause instanceof BusError ? cause.code : undefined;
  if (code === "disk_full") {
    return new BusError(code, "Cannot back up: the server's disk has no room for the copy", { cause });
  }
  if (code === "already_closed") return new BusError(code, "Cannot back up: the server is closed", { cause });
  return new BusError("store_failed", "Cannot back up: the server could not make the copy", { cause });
}

function answerOf(copy: BackupCopy, options: BackupOptions, done: () => void): Response {
  const { bytes, sha256, topics, messages } = copy;
  const response = new Response(streamOf(copy, options, done), {
    headers: {
      ...COPY_HEADERS,
      "content-length": String(bytes),
      "msgbus-sha256": sha256,
      "msgbus-topics": String(topics),
      "msgbus-messages": String(messages),
    },
  });
  addStandardHeaders(response.headers);
  return response;
}

/** The content of a copy, which is removed when all of it was read, or nobody will read it. */
function streamOf(copy: BackupCopy, { clock, stallMs }: BackupOptions, done: () => void): ReadableStream<Uint8Array> {
  let unwatch = () => {};
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    unwatch();
    copy.close();
    done();
  };
  const watch = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    unwatch();
    unwatch = clock.schedule(() => {
      end();
      controller.error(new ReaderStalled());
    }, stallMs);
  };
  return new ReadableStream<Uint8Array>({
    start: watch,
    async pull(controller) {
      try {
        const buffer = new Uint8Array(CHUNK_BYTES);
        const length = await copy.read(buffer);
        if (ended) return;
        if (length === null) {
          end();
          return controller.close();
        }
        controller.enqueue(buffer.subarray(0, length));
        watch(controller);
      } catch (error) {
        // The answer breaks off, so that nobody takes it for whole.
        end();
        controller.error(error);
      }
    },
    cancel: end,
  });
}
