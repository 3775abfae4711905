import { hasBrowser, openPage } from "../browser.ts";
import { unlessInstalled } from "../installed.ts";
import { type Heard, testEventSource, TYPES } from "./event_source_suite.ts";

testEventSource({
  name: "EventSource of a browser",
  without: unlessInstalled("chromium", hasBrowser),
  async listen(url) {
    const page = await openPage(
      (report, url, types) => {
        const source = new EventSource(url);
        for (const type of types.split(",")) {
          source.addEventListener(type, ({ type, data, lastEventId }) => report({ type, data, lastEventId }));
        }
      },
      [url, TYPES.join()],
    );
    return {
      next: async () => await page.report() as Heard,
      [Symbol.asyncDispose]: () => page[Symbol.asyncDispose](),
    };
  },
});
