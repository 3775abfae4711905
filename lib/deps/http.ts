/**
 * What HTTP requests are read with.
 *
 * @module
 */

export { accepts } from "jsr:@std/http@^1.1.3/negotiation";
