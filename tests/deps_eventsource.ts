/**
 * An EventSource that is not the platform's own: the one that most programs for Node use. Apart from deps.ts because few
 * tests need it.
 *
 * @module
 */

export { EventSource as NpmEventSource } from "npm:eventsource@^5.1.5";
