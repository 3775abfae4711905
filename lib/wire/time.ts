/**
 * Times as the original prints them.
 *
 * @module
 */

/** Local time as the original writes it: `2018/03/25 13:21:18`. */
export function formatTime(time: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  const date = `${time.getFullYear()}/${two(time.getMonth() + 1)}/${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
