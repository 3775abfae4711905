/**
 * Servers of a few lines that do what the bare one does, and one step of msgbusd's work more:
 * `deno run --allow-net bench/steps.ts <name>`.
 *
 * @module
 */

import { MessageBus } from "../lib/bus/bus.ts";
import { targetOf, TopicNames } from "../lib/http/target.ts";

/** One step. */
export interface Step {
  /** What the table calls it. */
  readonly title: string;
  /** The step it is compared with; default the bare server. */
  readonly against?: string;
  /** Does it and answers, once the body has been read. */
  answer(request: Request, body: Uint8Array): Response;
}

const TOPIC = "bench";
const PAYLOAD = new Uint8Array(128).fill(0x78);
// With their heads, answers of less and of more than 512 bytes.
const SHORT = "x".repeat(300);
const LONG = "x".repeat(400);
const SHORT_BYTES = new TextEncoder().encode(SHORT);
const TEXT = "text/plain;charset=UTF-8";
const STANDARD = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
const RECEIPT = { "msgbus-id": "123456789", "msgbus-cursor": "mywq4wow-123456789" };

const bus = new MessageBus();
const names = new TopicNames();
// Whatever a step finds goes here, so that no compiler leaves the step out.
let found = 0;
// What every request has as its `Host`, known once the server listens.
let host = "";

/** The steps, by name. */
export const STEPS: Readonly<Record<string, Step>> = {
  "header": {
    title: "look at one header of the request",
    answer(request) {
      found += request.headers.get("host")!.length;
      return accepted();
    },
  },
  "headers-for-each": {
    title: "go through all headers with forEach",
    answer(request) {
      request.headers.forEach((value, name) => found += name.length + value.length);
      return accepted();
    },
  },
  "headers-for-of": {
    title: "the same with for … of",
    answer(request) {
      for (const [name, value] of request.headers) found += name.length + value.length;
      return accepted();
    },
  },
  "url": {
    title: "the text of the URL",
    answer(request) {
      found += request.url.length;
      return accepted();
    },
  },
  "topic": {
    title: "… the path out of it, the topic's name",
    against: "url",
    answer(request) {
      found += names.of(targetOf(request.url, host, request.method).path).length;
      return accepted();
    },
  },
  "put": {
    title: "put, of one and the same Uint8Array",
    answer() {
      bus.put(TOPIC, PAYLOAD);
      return accepted();
    },
  },
  "put-body": {
    title: "… of the body: it has to be kept",
    against: "put",
    answer(_request, body) {
      bus.put(TOPIC, body);
      return accepted();
    },
  },
  "answer-1-header": {
    title: "an answer with one header",
    answer: () => new Response(null, { status: 202, headers: { "cache-control": "no-store" } }),
  },
  "answer-2-headers": {
    title: "… with two",
    answer: () => new Response(null, { status: 202, headers: { ...RECEIPT } }),
  },
  "answer-4-headers": {
    title: "… with four, like a publish",
    answer: () => new Response(null, { status: 202, headers: { ...STANDARD, ...RECEIPT } }),
  },
  "text": {
    title: "an answer with a string of 300 bytes",
    answer: () => new Response(SHORT, { status: 202 }),
  },
  "bytes": {
    title: "the same as a Uint8Array",
    answer: () => new Response(SHORT_BYTES, { status: 202, headers: { "content-type": TEXT } }),
  },
  "text-over-512": {
    title: "the string so long that head and body exceed 512 bytes",
    against: "text",
    answer: () => new Response(LONG, { status: 202 }),
  },
  "text-3-headers": {
    title: "the string with three headers, given at once",
    against: "text",
    answer: () => new Response(SHORT, { status: 202, headers: { "content-type": TEXT, ...STANDARD } }),
  },
  "text-3-headers-appended": {
    title: "… two of them appended, like a pull",
    against: "text",
    answer() {
      const response = new Response(SHORT, { status: 202, headers: { "content-type": TEXT } });
      for (const [name, value] of Object.entries(STANDARD)) response.headers.append(name, value);
      return response;
    },
  },
};

function accepted(): Response {
  return new Response(null, { status: 202 });
}

if (import.meta.main) {
  const step = STEPS[Deno.args[0] ?? ""];
  if (step === undefined) throw new Error(`No step "${Deno.args[0]}"; there are ${Object.keys(STEPS).join(" ")}`);
  Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen({ port }) {
      host = `localhost:${port}`;
      Deno.stderr.writeSync(new TextEncoder().encode(`steps listening on 127.0.0.1:${port}\n`));
    },
  }, async (request) => step.answer(request, await request.bytes()));
}
