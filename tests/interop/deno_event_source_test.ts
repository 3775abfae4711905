import { listening, testEventSource } from "./event_source_suite.ts";

testEventSource({
  name: "EventSource of Deno",
  listen: (url) => listening(new EventSource(url)),
});

