/**
 * Stand-in for `@std/log/base-handler`.
 *
 * @module
 */

import { getLevelByName, getLevelName, type LevelName, type LogLevel } from "./levels.ts";
import type { LogRecord } from "./logger.ts";

export type { LevelName, LogLevel, LogRecord };

/** Makes the line of a record. */
export type FormatterFunction = (logRecord: LogRecord) => string;

/** What a handler may be given. */
export interface BaseHandlerOptions {
  formatter?: FormatterFunction;
}

/** Writes the records at or above its level somewhere. */
export abstract class BaseHandler {
  #level: LogLevel;
  formatter: FormatterFunction;

  constructor(levelName: LevelName, options?: BaseHandlerOptions) {
    this.#level = getLevelByName(levelName);
    this.formatter = options?.formatter ?? (({ levelName, msg }) => `${levelName} ${msg}`);
  }

  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    this.#level = level;
  }

  get levelName(): LevelName {
    return getLevelName(this.#level);
  }
  set levelName(name: LevelName) {
    this.#level = getLevelByName(name);
  }

  handle(logRecord: LogRecord): void {
    if (logRecord.level >= this.level) this.log(this.format(logRecord));
  }

  format(logRecord: LogRecord): string {
    return this.formatter(logRecord);
  }

  abstract log(msg: string): void;

  setup(): void {}
  destroy(): void {}
  [Symbol.dispose](): void {
    this.destroy();
  }
}
