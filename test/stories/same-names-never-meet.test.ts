import t from 'tap';
import { ANY_MANIFEST, ociErrorOf, type Received } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const hosts = ['docker.io', 'ghcr.io', 'registry.test:5000'] as const;
type Host = (typeof hosts)[number];

/** The ways in which a client can say which registry it means; the last is for the default one. */
const SHAPES = {
  ns: (host: Host, rest: string) => ({ path: `/v2/${rest}?ns=${host}` }),
  'first component': (host: Host, rest: string) => ({ path: `/v2/${host}/${rest}` }),
  'path in front': (host: Host, rest: string) => ({ path: `/${host}/v2/${rest}` }),
  'virtual host': (host: Host, rest: string) => ({
    path: `/v2/${rest}`,
    headers: { host: virtualHostOf(host) },
  }),
  default: (_host: Host, rest: string) => ({ path: `/v2/${rest}` }),
};

const virtualHostOf = (host: string): string => `mirror-of-${host.replace(/:.*/, '')}`;

/** Three registries that have the same repository and the same tag, each with an image of its own. */
async function start(t: Parameters<typeof startRegistry>[0]) {
  const registries = await Promise.all(
    hosts.map(async (host) => {
      const [registry, image] = [await startRegistry(t), imageOf(`the one of ${host}`, [10_000])];
      registry.push('team/app', image, 'latest');
      registry.push('team/app', image, `only-at-${virtualHostOf(host)}`);
      return { host, registry, image, layer: image.layers[0]?.digest };
    }),
  );
  const upstreams = Object.fromEntries(
    registries.map(({ host, registry }) => [host, { at: registry, virtualHosts: [virtualHostOf(host)] }]),
  );
  return { registries, mirror: await startMirror(t, { upstreams }) };
}

for (const [shape, request] of Object.entries(SHAPES)) {
  t.test(`${shape}: all that is asked for is of the registry that is meant`, async (t) => {
    const { registries, mirror } = await start(t);
    for (const { host, image, layer } of shape === 'default' ? registries.slice(0, 1) : registries) {
      const ask = (rest: string, method = 'GET'): Promise<Received> => {
        const { path, headers = {} } = { headers: {}, ...request(host, `team/app/${rest}`) };
        return mirror.get(path, { method, headers: { ...ANY_MANIFEST, ...headers } });
      };
      const { digest, body } = image.manifest;
      for (const reference of ['latest', digest]) {
        t.match((await ask(`manifests/${reference}`, 'HEAD')).headers, { 'docker-content-digest': digest });
        t.ok((await ask(`manifests/${reference}`)).body.equals(body), `${host} ${reference}`);
      }
      t.match(await ask(`blobs/${layer}`, 'HEAD'), { status: 200, headers: { 'content-length': '10000' } });
      t.ok((await ask(`blobs/${layer}`)).body.equals(image.layers[0]?.body ?? Buffer.alloc(0)));
      t.match(JSON.parse((await ask('tags/list')).body.toString()), {
        tags: ['latest', `only-at-${virtualHostOf(host)}`],
      });
      t.equal((await ask(`referrers/${digest}`)).status, 200);
      for (const other of registries.filter((one) => one.host !== host)) {
        t.equal((await ask(`manifests/${other.image.manifest.digest}`)).status, 404, 'not of this registry');
        t.equal((await ask(`blobs/${other.layer}`)).status, 404, 'wherever it is stored');
      }
    }
    const isAsked = registries.map(({ registry }) => registry.asked.length > 0);
    t.same(isAsked, shape === 'default' ? [true, false, false] : [true, true, true]);
  });
}

t.test('a registry that is not configured is refused, and never dialled', async (t) => {
  const { registries, mirror } = await start(t);
  const stranger = await startRegistry(t);
  const things = ['manifests/latest', `blobs/${registries[0]?.layer}`, 'tags/list'];
  const paths = things.flatMap((thing) => [
    `/v2/team/app/${thing}?ns=${stranger.host}`,
    `/v2/team/app/${thing}?ns=${encodeURIComponent(stranger.url)}`,
    `/v2/${stranger.host}/team/app/${thing}`,
    `/${stranger.host}/v2/team/app/${thing}`,
  ]);
  for (const path of paths) {
    const answer = await mirror.get(path);
    t.equal(answer.status, 404, path);
    t.match(ociErrorOf(answer), {
      code: 'NAME_UNKNOWN',
      message: /does not mirror .+ add it under `upstreams`/,
    });
  }
  t.equal(stranger.asked.length + stranger.connections, 0);
  for (const { registry } of registries)
    t.equal(registry.asked.length, 0, 'nor is another one asked instead');
});
