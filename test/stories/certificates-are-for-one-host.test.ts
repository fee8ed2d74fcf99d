import type { TlsOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import type { TlsConfig } from '../../src/config/schema.ts';
import { startCdn } from '../helpers/cdn.ts';
import { hasOpenssl, makeCertificates } from '../helpers/certificates.ts';
import { imageOf } from '../helpers/content.ts';
import { startForwardProxy } from '../helpers/forward-proxy.ts';
import { startMirror } from '../helpers/mirror.ts';
import { redirecting, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const skip = !hasOpenssl;
const image = imageOf('over tls', [100_000]);
const latest = '/v2/library/app/manifests/latest';
const layer = `/v2/library/app/blobs/${image.layers[0]?.digest}`;

/** Certificates, and ways for servers to use them. */
function certify(t: Test) {
  const { ca, server, elsewhere, client } = makeCertificates(t.testdir());
  /** asks whoever comes for a certificate; `demanded`: and sends away who has none */
  const asking = (isDemanded: boolean): TlsOptions => {
    return { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: isDemanded };
  };
  const tls = (settings: Partial<TlsConfig>): TlsConfig => ({ ...upstreamDefaults.tls, ...settings });
  const known = tls({ ca: ca.cert });
  return { server, elsewhere, known, tls, identity: { cert: client.cert, key: client.key }, asking };
}

async function startHttps(t: Test, options: TlsOptions) {
  const registry = await startRegistry(t, options);
  registry.push('library/app', image, 'latest');
  return registry;
}

t.test('an authority of one’s own is believed, for the registry and its CDN', { skip }, async (t) => {
  const { server, known } = certify(t);
  const registry = await startHttps(t, server);
  const cdn = await startCdn(t, () => registry, server);
  registry.act(redirecting(cdn));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, tls: known } } });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.ok((await mirror.get(layer)).body.equals(image.layers[0]?.body ?? Buffer.alloc(0)));
  t.equal(cdn.count('GET'), 1);
});

t.test('an authority that nobody named is not, and that is called tls', { skip }, async (t) => {
  const { server } = certify(t);
  const registry = await startHttps(t, server);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const { status, body } = await mirror.manifest(latest);
  t.equal(status, 502);
  t.match(body.toString(), /certificate/);
  t.equal(await mirror.metric('hubcap_upstream_failures_total', 'reason="tls"'), 1);
  t.equal(registry.asked.length, 0);
});

t.test('a certificate for another name is refused, also of a known authority', { skip }, async (t) => {
  const { elsewhere, known } = certify(t);
  const registry = await startHttps(t, elsewhere);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, tls: known } } });
  t.equal((await mirror.manifest(latest)).status, 502);
  t.equal(await mirror.metric('hubcap_upstream_failures_total', 'reason="tls"'), 1);
  t.equal(registry.asked.length, 0);
});

t.test('a client certificate is shown to the registry, and to nobody it names', { skip }, async (t) => {
  const { known, identity, asking } = certify(t);
  const registry = await startHttps(t, asking(true));
  const cdn = await startCdn(t, () => registry, asking(false));
  const tokens = await startTokenServer(t, { tls: asking(false) });
  registry.act(tokened(tokens), redirecting(cdn));
  const at = { at: registry, realms: [tokens.host], tls: { ...known, ...identity }, private: ['*'] };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.ok((await mirror.get(layer)).body.equals(image.layers[0]?.body ?? Buffer.alloc(0)));
  t.same(new Set(registry.asked.map(({ client }) => client)), new Set(['hubcap']));
  t.same(new Set(cdn.asked.map(({ client }) => client)), new Set([undefined]));
  t.same(new Set(tokens.asked.map(({ client }) => client)), new Set([undefined]));
  t.equal(cdn.count('GET'), 1);
});

t.test('who shows none where one is demanded is refused', { skip }, async (t) => {
  const { known, asking } = certify(t);
  const registry = await startHttps(t, asking(true));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, tls: known } } });
  // Node's server ends the connection without saying why; others send an alert, which is a 502 `tls`.
  t.equal((await mirror.manifest(latest)).status, 503);
  t.equal(registry.asked.length, 0);
});

t.test('a registry that lets no stranger in is not down for that', { skip }, async (t) => {
  const { known, identity, asking } = certify(t);
  const registry = await startHttps(t, asking(true));
  registry.push('team/app', image, 'latest');
  const at = {
    at: registry,
    tls: { ...known, ...identity },
    private: ['library/*'],
    timeouts: { probeMs: 600_000 },
  };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.match((await mirror.manifest('/v2/team/app/manifests/latest')).status, /50[23]/);
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
  t.equal((await mirror.manifest(latest)).status, 200);
});

t.test('insecure believes the registry, and nobody it names', { skip }, async (t) => {
  const { elsewhere, server, tls } = certify(t);
  const registry = await startHttps(t, elsewhere);
  const cdn = await startCdn(t, () => registry, server);
  const at = { at: registry, tls: tls({ isInsecure: true }) };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 200);
  registry.act(redirecting(cdn));
  t.not((await mirror.get(layer)).status, 200);
  t.equal(cdn.asked.length, 0);
});

t.test('all of it also through a proxy', { skip }, async (t) => {
  const { known, identity, asking, tls, elsewhere } = certify(t);
  const proxy = await startForwardProxy(t);
  const [registry, other] = [await startHttps(t, asking(true)), await startHttps(t, elsewhere)];
  const cdn = await startCdn(t, () => registry, asking(false));
  registry.act(redirecting(cdn));
  const mirror = await startMirror(t, {
    upstreams: {
      'registry.test': { at: registry, tls: { ...known, ...identity }, private: ['*'] },
      'other.test': { at: other, tls: tls({ isInsecure: true }) },
      'strict.test': { at: other, tls: known },
    },
    proxy: { https: proxy.url },
  });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.ok((await mirror.get(layer)).body.equals(image.layers[0]?.body ?? Buffer.alloc(0)));
  t.same(new Set(registry.asked.map(({ client }) => client)), new Set(['hubcap']));
  t.same(new Set(cdn.asked.map(({ client }) => client)), new Set([undefined]));
  t.equal((await mirror.manifest(`${latest}?ns=other.test`)).status, 200);
  t.equal((await mirror.manifest(`${latest}?ns=strict.test`)).status, 502);
  t.same(new Set(proxy.asked), new Set([registry.host, cdn.host, other.host]));
});
