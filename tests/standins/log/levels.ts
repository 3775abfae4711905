/**
 * Stand-in for `@std/log/levels`.
 *
 * @module
 */

/** The number of each level. */
export const LogLevels = { NOTSET: 0, DEBUG: 10, INFO: 20, WARN: 30, ERROR: 40, CRITICAL: 50 } as const;

/** The name of a level. */
export type LevelName = keyof typeof LogLevels;

/** The number of a level. */
export type LogLevel = typeof LogLevels[LevelName];

/** The number of a level, by name. */
export function getLevelByName(name: LevelName): LogLevel {
  const level = LogLevels[name];
  if (level === undefined) throw new Error(`Cannot get log level: no level named ${name}`);
  return level;
}

/** The name of a level, by number. */
export function getLevelName(level: LogLevel): LevelName {
  const found = Object.entries(LogLevels).find(([, number]) => number === level);
  if (found === undefined) throw new Error(`Cannot get log level: no name for level: ${level}`);
  return found[0] as LevelName;
}
