/**
 * The log of the daemon, on standard error.
 *
 * @module
 */

import { BaseHandler, Logger, type LogRecord } from "./deps/log.ts";
import { escapeControls } from "./errors.ts";
import { formatTime } from "./wire/time.ts";

/** Writes the log; every line names an event that programs can look for. */
export interface Log {
  /** What ends the daemon. */
  error(event: string, message: string, fields?: Fields): void;
  /** What an operator should look into. */
  warn(event: string, message: string, fields?: Fields): void;
  /** What happens in normal service. */
  info(event: string, message: string, fields?: Fields): void;
  /** What helps to find faults. */
  debug(event: string, message: string, fields?: Fields): void;
}

/** Further members of a line in JSON; the text format leaves them out. */
export type Fields = Readonly<Record<string, string | number>>;

/** Writes whole lines to standard error, at once: a line that explains an exit must be out before it. */
class StandardError extends BaseHandler {
  readonly #encoder = new TextEncoder();

  override log(line: string): void {
    try {
      Deno.stderr.writeSync(this.#encoder.encode(`${line}\n`));
    } catch {
      // Nobody reads the log any more, and there is nowhere to say so.
    }
  }
}

/** Makes the log. The text format is the original's: `2018/03/25 13:21:18 msgbusd listening on localhost:8000`. */
export function createLog(options: { readonly format: "text" | "json"; readonly debug: boolean }): Log {
  const level = options.debug ? "DEBUG" : "INFO";
  const formatter = options.format === "json" ? formatJson : formatText;
  const logger = new Logger("msgbusd", level, { handlers: [new StandardError(level, { formatter })] });
  return {
    error: (event, message, fields) => void logger.error(message, event, fields),
    warn: (event, message, fields) => void logger.warn(message, event, fields),
    info: (event, message, fields) => void logger.info(message, event, fields),
    debug: (event, message, fields) => void logger.debug(message, event, fields),
  };
}

function formatText({ datetime, msg }: LogRecord): string {
  return `${formatTime(datetime)} ${escapeControls(msg)}`;
}

function formatJson({ datetime, levelName, msg, args: [evt, fields] }: LogRecord): string {
  const line = { time: datetime.toISOString(), lvl: levelName.toLowerCase(), evt, msg, ...(fields as Fields) };
  return escapeControls(JSON.stringify(line));
}
