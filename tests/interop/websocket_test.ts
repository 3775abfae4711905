/**
 * WebSocket clients: of Deno, of npm, of Node and of a browser.
 *
 * @module
 */

import { hasBrowser, openPage } from "../browser.ts";
import { WsClient } from "../deps_ws.ts";
import { serve } from "../http/serving.ts";
import { installed, unlessInstalled } from "../installed.ts";
import { Lines } from "../processes.ts";
import { conversation, testWebSocket, type Told } from "./websocket_suite.ts";

testWebSocket({
  name: "WebSocket of Deno",
  connect: (url, protocols) => conversation(new WebSocket(url, [...protocols])),
});

testWebSocket({
  name: "WebSocket of npm's ws",
  connect: (url, protocols) => conversation(new WsClient(url, [...protocols])),
});

/** Runs in Node: tells in lines what its WebSocket tells, and sends what it reads, a JSON string a line. */
const PROGRAM = `
const [url, ...protocols] = process.argv.slice(1);
const tell = (told) => console.log(JSON.stringify(told));
const socket = new WebSocket(url, protocols);
socket.onopen = () => tell({ open: socket.protocol });
socket.onmessage = ({ data }) => tell({ frame: data });
socket.onclose = ({ code }) => { tell({ closed: code }); process.exit(); };
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => socket.send(JSON.parse(line)));
`;
// Node has one of its own since 21, behind a flag since 20.10; later ones take the flag, too.
const NODE_ARGS = ["--experimental-websocket", "--eval"];
const hasNode = await installed("node", [...NODE_ARGS, "WebSocket"]);

testWebSocket({
  name: "WebSocket of Node",
  without: unlessInstalled("node with WebSocket", hasNode),
  connect(url, protocols) {
    const node = new Deno.Command("node", {
      args: [...NODE_ARGS, PROGRAM, url, ...protocols],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const lines = new Lines(node.stdout);
    const writer = node.stdin.getWriter();
    return {
      next: async () => JSON.parse((await lines.next())!) as Told,
      send: (frame) => writer.write(new TextEncoder().encode(`${JSON.stringify(frame)}\n`)),
      async [Symbol.asyncDispose]() {
        await writer.close().catch(() => {}); // it may have ended
        try {
          node.kill("SIGKILL");
        } catch {
          // It has ended.
        }
        await node.status;
        await lines.rest();
      },
    };
  },
});

testWebSocket({
  name: "WebSocket of a browser",
  without: unlessInstalled("chromium", hasBrowser),
  async connect(url, protocols) {
    // The page sends what another socket hears on the topic "frames".
    const frames = serve();
    const page = await openPage(
      (report, url, protocols, frames) => {
        const socket = new WebSocket(url, protocols === "" ? [] : protocols.split(" "));
        socket.onopen = () => report({ open: socket.protocol });
        socket.onmessage = ({ data }) => report({ frame: data });
        socket.onclose = ({ code }) => report({ closed: code });
        new WebSocket(frames).onmessage = ({ data }) => socket.send(JSON.parse(atob(JSON.parse(data).payload)));
      },
      [url, protocols.join(" "), `ws://127.0.0.1:${frames.port}/frames?since=earliest`],
    );
    return {
      next: async () => await page.report() as Told,
      send: (frame) => void frames.bus.put("frames", escaped(frame)),
      async [Symbol.asyncDispose]() {
        await page[Symbol.asyncDispose]();
        await frames[Symbol.asyncDispose]();
      },
    };
  },
});

/** JSON in ASCII, which survives atob. */
function escaped(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
