/**
 * A JSR registry on loopback: what `JSR_URL` may point to. It has this package, from the files that would be published,
 * and the stand-ins under the names of the packages they stand for.
 *
 * @module
 */

import { publishedFiles, ROOT } from "./published.ts";

interface Package {
  /** As in `deno.json`: `@scope/name`. */
  readonly name: string;
  readonly version: string;
  readonly exports: Record<string, string>;
  /** Content by path. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A running registry. */
export class Registry implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(server: Deno.HttpServer<Deno.NetAddr>) {
    this.#server = server;
  }

  /** Serves this package and the stand-ins on a free port. */
  static async start(): Promise<Registry> {
    const packages = [await load(ROOT, await publishedFiles())];
    for await (const { name, isDirectory } of Deno.readDir(new URL("tests/standins/", ROOT))) {
      const folder = new URL(`tests/standins/${name}/`, ROOT);
      if (isDirectory) packages.push(await load(folder, [...Deno.readDirSync(folder)].map((file) => file.name)));
    }
    const answers = new Map((await Promise.all(packages.map(answersFor))).flat());
    const handler = (request: Request) => {
      const answer = answers.get(new URL(request.url).pathname);
      if (answer === undefined) return new Response("no such file", { status: 404 });
      const type = request.url.endsWith(".ts") ? "application/typescript" : "application/json";
      return new Response(answer, { headers: { "content-type": type } });
    };
    return new Registry(Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler));
  }

  /** Where it is: the value of `JSR_URL`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function load(folder: URL, paths: string[]): Promise<Package> {
  const files = paths.map(async (path) => [`/${path}`, await Deno.readFile(new URL(path, folder))] as const);
  const { name, version, exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", folder)));
  return { name, version, exports, files: new Map(await Promise.all(files)) };
}

async function answersFor(
  { name, version, exports, files }: Package,
): Promise<[string, string | Uint8Array<ArrayBuffer>][]> {
  const [scope, short] = name.slice(1).split("/");
  // Long ago: deno does not take versions that are younger than a day.
  const meta = { scope, name: short, latest: version, versions: { [version]: { createdAt: "2020-01-01T00:00:00Z" } } };
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, bytes] of files) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    manifest[path] = { size: bytes.byteLength, checksum: `sha256-${digest.toHex()}` };
  }
  return [
    [`/${name}/meta.json`, JSON.stringify(meta)],
    [`/${name}/${version}_meta.json`, JSON.stringify({ manifest, exports })],
    ...[...files].map(([path, bytes]): [string, Uint8Array<ArrayBuffer>] => [`/${name}/${version}${path}`, bytes]),
  ];
}
