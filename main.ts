/**
 * msgbusd: a real-time message bus over HTTP. `msgbusd --help` tells how to run it.
 *
 * @module
 */

import { MessageBus } from "./lib/bus/bus.ts";
import { systemClock } from "./lib/bus/clock.ts";
import { combineObservers } from "./lib/bus/observer.ts";
import { createHandler } from "./lib/http/handler.ts";
import { assertFree, isLoopbackAddress, listen } from "./lib/http/listen.ts";
import { check } from "./lib/daemon/check.ts";
import { openJournal } from "./lib/daemon/journal.ts";
import { refusalLog } from "./lib/daemon/refusal_log.ts";
import { EXIT, Lifecycle } from "./lib/daemon/lifecycle.ts";
import { listenerLog } from "./lib/daemon/listener_log.ts";
import { createLog } from "./lib/log.ts";
import { messageLog } from "./lib/daemon/message_log.ts";
import { clockLog } from "./lib/daemon/clock_log.ts";
import { postponedLog } from "./lib/daemon/postponed_log.ts";
import { stallLog } from "./lib/daemon/stall_log.ts";
import { watchEventLoop } from "./lib/metrics/event_loop.ts";
import { encodeMetrics } from "./lib/metrics/families.ts";
import { Metrics } from "./lib/metrics/metrics.ts";
import { processState } from "./lib/metrics/process.ts";
import { helpText, limitsAmong, type Options, readOptions, type Request } from "./lib/options.ts";
import { assertExposureIsMeant, assertLossIsMeant, assertPlatform, explainFailedStart } from "./lib/daemon/startup.ts";
import { isJournalWorker, serveJournal } from "./lib/store/journal_service.ts";
import { VERSION } from "./lib/version.ts";

/** Runs the daemon until it has drained, and returns its exit code. */
async function serve(options: Options): Promise<number> {
  const log = createLog({ format: options.logFormat, debug: options.debug });
  const open = !options.bind.every(isLoopbackAddress);
  const watched = options.logMessages === "on" || (options.logMessages === "auto" && Deno.stderr.isTerminal());
  const lifecycle = new Lifecycle(log);
  const metrics = new Metrics();
  watchEventLoop(systemClock, (seconds) => metrics.lagged(seconds));
  const observers = [metrics, stallLog(log, systemClock), postponedLog(log, systemClock), clockLog(log)];
  const observer = combineObservers(...observers, ...watched ? [messageLog(log)] : []);
  // First: a start that fails for its address leaves nothing on the disk.
  if (options.data !== undefined) await assertFree(options.bind);
  // This module is the journal's worker, too: a program is one file when it is bundled or compiled.
  const journal = await openJournal(options, { log, metrics, workerUrl: import.meta.url });
  await using bus = await MessageBus.open({ ...limitsAmong(options), observer, store: journal?.store });
  journal?.opened(bus);
  const refusal = () => journal?.store.refusal;
  const onBug = (error: unknown) => lifecycle.bug(error);
  const handler = createHandler(bus, {
    open,
    publicHosts: options.publicHost,
    trustProxy: options.trustProxy,
    allowOrigins: options.allowOrigin,
    stallTimeoutMs: options.stallTimeoutMs,
    draining: lifecycle.draining,
    onBug,
    onWork: (change) => lifecycle.work(change),
    onRefusal: refusalLog(log),
    onAnswer: (answer) => metrics.answered(answer),
    onMessageRefused: (code) => metrics.refused(code),
    metrics: () => {
      return encodeMetrics({
        bus,
        metrics,
        topics: options.metricsTopics,
        process: processState(),
        refuses: refusal() !== undefined,
      });
    },
    backup: journal?.backup,
    refusal,
  });
  const listening = [];
  for (const bind of options.bind) listening.push(await listen(bind, handler, { onBug, onLost: listenerLog(log) }));
  lifecycle.listen();
  log.info("listening", `msgbusd listening on ${listening.map(({ name }) => name).join(", ")}`);
  if (open) log.warn("insecure_bind", "msgbusd is open: everybody who can reach it can read, write and delete");
  return await lifecycle.end(bus, listening.flatMap(({ servers }) => servers));
}

/** Reads the arguments, does what they ask, and returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  let asked: Request["do"] = "run";
  try {
    assertPlatform(Deno.version.deno);
    const request = readOptions(args, (name) => Deno.env.get(name));
    asked = request.do;
    if (request.do === "help") return print(helpText());
    if (request.do === "version") return print(`msgbusd ${VERSION}\n`);
    if (request.do === "check") {
      const { text, exitCode } = await check(request.options);
      print(text);
      return exitCode;
    }
    assertExposureIsMeant(request.options, (name) => Deno.env.get(name));
    assertLossIsMeant(request.options);
    return await serve(request.options);
  } catch (error) {
    const { line, exitCode } = explainFailedStart(error, asked);
    Deno.stderr.writeSync(new TextEncoder().encode(`msgbusd: ${line}\n`));
    return exitCode;
  }
}

function print(text: string): number {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    // Nobody reads it any more, as in `msgbusd --help | head -1`.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  return EXIT.drained;
}

// First: in a worker this is the main module, too.
if (isJournalWorker()) serveJournal();
else if (import.meta.main) Deno.exit(await main(Deno.args));
