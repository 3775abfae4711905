/**
 * What msgbusd logs with.
 *
 * @module
 */

export { BaseHandler } from "jsr:@std/log@^0.224.14/base-handler";
export { LogLevels } from "jsr:@std/log@^0.224.14/levels";
export { Logger, LogRecord } from "jsr:@std/log@^0.224.14/logger";
