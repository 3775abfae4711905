/**
 * The journal as the daemon runs it: what it logs, what ends the daemon, and copies of it.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { BusError } from "../errors.ts";
import type { BackupSource } from "../http/backup.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Options } from "../options.ts";
import { pathsIn } from "../store/directory.ts";
import { SqliteStore, type StoreWarning } from "../store/sqlite.ts";
import { formatCount } from "../wire/count.ts";
import { backupsOf } from "./backups.ts";
import { EXIT } from "./lifecycle.ts";

/** What the daemon has of its journal. */
export interface DaemonJournal {
  /** The store for the bus. */
  readonly store: SqliteStore;
  /** Makes copies of everything. */
  readonly backup: BackupSource;
  /** Logs what was opened, and how long that took; called once, when the bus has begun with it. */
  opened(bus: MessageBus): void;
}

/**
 * Opens the journal in the directory that the options name; `undefined` if there is none.
 *
 * @throws {BusError} as `SqliteStore.create`, and `bad_option` if its worker may not be loaded.
 */
export async function openJournal(
  { data: directory, acceptLoss }: Options,
  { log, metrics, workerUrl }: { log: Log; metrics: Metrics; workerUrl: string },
): Promise<DaemonJournal | undefined> {
  if (directory === undefined) return undefined;
  await assertLoadable(workerUrl);
  const begunMs = performance.now();
  const isNew = !Object.values(pathsIn(directory)).some(isThere);
  let bus: MessageBus | undefined;
  const store = await SqliteStore.create({
    directory,
    acceptLoss,
    workerUrl,
    onFatal(error) {
      // What the disk has of the last writes nobody knows: nothing may be acknowledged any more, not even while draining.
      log.error("journal_fatal", `msgbusd exits: ${error.message}`);
      Deno.exit(EXIT.journalFailed);
    },
    onCommit: (commit) => metrics.committed(commit),
    onWarning: (warning) => warn(log, warning),
  });
  return {
    store,
    backup: backupsOf(store, directory, () => bus!.totals()),
    opened(openedBus) {
      bus = openedBus;
      const { topics, messages, bytes } = bus.totals();
      const seconds = (performance.now() - begunMs) / 1000;
      const what = `${formatCount(messages, "message")} of ${formatCount(topics, "topic")}, ${roundSize(bytes)}`;
      const line = isNew
        ? `new journal in ${directory}`
        : `journal opened in ${directory}: ${what}, in ${seconds.toFixed(1)} s`;
      log.info("journal_opened", line, { directory, topics, messages, bytes, seconds });
    },
  };
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false; // why it can't be looked at is said by whoever opens it
  }
}

function roundSize(bytes: number): string {
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/**
 * Refuses a program that its worker may not read, which the worker itself would say less clearly.
 *
 * @throws {BusError} `bad_option`.
 */
async function assertLoadable(workerUrl: string): Promise<void> {
  const url = new URL(workerUrl);
  if (url.protocol !== "file:") return;
  if ((await Deno.permissions.query({ name: "read", path: url })).state === "granted") return;
  throw new BusError(
    "bad_option",
    `a permission is missing: the journal's worker loads the program again; add ${url.pathname} to --allow-read`,
  );
}

/** Logs what the journal has to say. */
function warn(log: Log, warning: StoreWarning): void {
  switch (warning.kind) {
    case "loss":
      return log.warn("journal_loss", `the journal goes on with a loss, as --accept-loss says: ${warning.message}`);
    case "damaged": {
      const { topic, ids } = warning;
      const count = formatCount(ids.length, "message");
      const message = `${count} of ${topic} damaged and never delivered, the first is ${ids[0]}`;
      return log.warn("journal_damaged", message, { topic, messages: ids.length });
    }
    case "slow":
      return log.warn("journal_slow", `the disk is slow: ${warning.message}`);
    case "full":
      return log.warn("disk_full", `everything that would be kept is refused until there is room: ${warning.message}`);
    case "healed":
      return log.info("disk_healed", "there is room on the disk again");
  }
}
