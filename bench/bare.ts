/**
 * The least that `Deno.serve` can do: reads the body and answers 202. What msgbusd is compared with.
 *
 * @module
 */

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => void Deno.stderr.writeSync(new TextEncoder().encode(`bare listening on 127.0.0.1:${port}\n`)),
}, async (request) => {
  await request.bytes();
  return new Response(null, { status: 202 });
});
