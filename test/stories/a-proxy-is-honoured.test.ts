import t from 'tap';
import { serve } from '../helpers/command.ts';
import { imageOf } from '../helpers/content.ts';
import { startForwardProxy } from '../helpers/forward-proxy.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const image = imageOf('proxied', [100_000]);
const latest = '/v2/library/app/manifests/latest';
const layer = `/v2/library/app/blobs/${image.layers[0]?.digest}`;

async function start(t: Parameters<typeof startRegistry>[0]) {
  const registry = await startRegistry(t);
  registry.push('library/app', image, 'latest');
  return { registry, proxy: await startForwardProxy(t) };
}

t.test('everything goes through the proxy: registry, token server', async (t) => {
  const { registry, proxy } = await start(t);
  const tokens = await startTokenServer(t);
  registry.act(tokened(tokens));
  const at = { at: registry, realms: [tokens.host] };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at }, proxy: { http: proxy.url } });
  t.equal((await mirror.manifest(latest)).status, 200);
  const blob = await mirror.get(layer);
  t.ok(blob.body.equals(image.layers[0]?.body ?? blob.body));
  t.same(new Set(proxy.asked), new Set([registry.host, tokens.host]));
});

t.test('what NO_PROXY names is asked directly', async (t) => {
  const { registry, proxy } = await start(t);
  const tokens = await startTokenServer(t);
  registry.act(tokened(tokens));
  const at = { at: registry, realms: [tokens.host] };
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': at },
    proxy: { http: proxy.url, no: `example.com, ${registry.host}` },
  });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.same(new Set(proxy.asked), new Set([tokens.host]));
});

t.test('HTTP_PROXY and NO_PROXY of the environment', async (t) => {
  const { registry, proxy } = await start(t);
  const pull = async (env: Record<string, string>): Promise<number> => {
    const args = ['--data', await makeDirectory(t), '--upstream', registry.url];
    const { ready } = await serve(t, args, env);
    const response = await globalThis.fetch(ready.listen + latest);
    await response.arrayBuffer();
    return response.status;
  };
  t.equal(await pull({ HTTP_PROXY: proxy.url, NO_PROXY: '127.0.0.1' }), 200);
  t.same(proxy.asked, []);
  t.equal(await pull({ HTTP_PROXY: proxy.url }), 200);
  t.same(new Set(proxy.asked), new Set([registry.host]));
});

t.test('a proxy that is down is trouble, not absence', async (t) => {
  const { registry } = await start(t);
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, retries: 0 } },
    proxy: { http: 'http://127.0.0.1:1' },
  });
  t.equal((await mirror.manifest(latest)).status, 503);
  t.equal(registry.asked.length, 0, 'it is not gone round');
});
