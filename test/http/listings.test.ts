import t from 'tap';
import { OCI_INDEX } from '../../src/oci/media-types.ts';
import type { Received } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const image = imageOf('listed', [10]);
const tags = ['v1', 'v2', 'v3', 'v4', 'v5'];

async function start(t: Parameters<typeof startRegistry>[0], tagTtlMs = 60_000) {
  const registry = await startRegistry(t);
  for (const tag of tags) registry.push('team/app', image, tag);
  const at = { at: registry, tagTtlMs, retries: 0 };
  return { registry, mirror: await startMirror(t, { upstreams: { 'registry.test': at } }) };
}

const parse = ({ body }: Received) => JSON.parse(body.toString());

function nextOf({ headers }: Received): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(String(headers.link))?.[1];
}

/** Follows `Link` to the last page. */
async function all(get: (path: string) => Promise<Received>, first: string, key: string): Promise<string[]> {
  const found: string[] = [];
  for (let path: string | undefined = first; path !== undefined; ) {
    const page = await get(path);
    found.push(...parse(page)[key]);
    path = nextOf(page);
  }
  return found;
}

t.test('tags come from upstream, page by page, and are remembered', async (t) => {
  const { registry, mirror } = await start(t);
  const whole = await mirror.get('/v2/team/app/tags/list');
  t.same(parse(whole), { name: 'team/app', tags });
  t.equal(whole.headers['cache-status'], 'hubcap; fwd=miss; stored');
  t.same(await all(mirror.get, '/v2/team/app/tags/list?n=2', 'tags'), tags);
  const asked = registry.asked.length;
  t.same(await all(mirror.get, '/v2/team/app/tags/list?n=2', 'tags'), tags);
  t.equal(registry.asked.length, asked);
});

t.test('the next page stays with the upstream that was named', async (t) => {
  const { mirror } = await start(t);
  const first = await mirror.get('/v2/team/app/tags/list?n=2&ns=registry.test');
  t.match(nextOf(first), 'ns=registry.test');
  t.equal(first.headers['oci-namespace'], 'registry.test');
  t.same(await all(mirror.get, '/v2/team/app/tags/list?n=2&ns=registry.test', 'tags'), tags);
  t.same(await all(mirror.get, '/v2/registry.test/team/app/tags/list?n=2', 'tags'), tags);
  t.same(await all(mirror.get, '/registry.test/v2/team/app/tags/list?n=2', 'tags'), tags);
});

t.test('tags that are known are listed while upstream cannot be asked', async (t) => {
  const { registry, mirror } = await start(t);
  for (const tag of tags.slice(0, 3)) await mirror.manifest(`/v2/team/app/manifests/${tag}`);
  registry.act(failing(503));
  const whole = await mirror.get('/v2/team/app/tags/list');
  t.same(parse(whole).tags, ['v1', 'v2', 'v3']);
  t.equal(whole.headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
  t.match(whole.headers.warning, '299');
  t.same(await all(mirror.get, '/v2/team/app/tags/list?n=2', 'tags'), ['v1', 'v2', 'v3']);
  t.equal((await mirror.get('/v2/team/unknown/tags/list')).status, 502);
});

t.test('a list that was seen is served stale', async (t) => {
  const { registry, mirror } = await start(t, 0);
  await mirror.get('/v2/team/app/tags/list');
  registry.act(failing(503));
  const stale = await mirror.get('/v2/team/app/tags/list');
  t.same(parse(stale).tags, tags);
  t.equal(stale.headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
});

t.test('the catalog lists what hubcap holds, page by page', async (t) => {
  const { registry, mirror } = await start(t);
  t.same(parse(await mirror.get('/v2/_catalog')), { repositories: [] });
  const names = ['team/a', 'team/b', 'team/c'];
  for (const name of names) {
    registry.push(name, image, 'latest');
    await mirror.manifest(`/v2/${name}/manifests/latest`);
  }
  const held = names.map((name) => `registry.test/${name}`);
  const asked = registry.asked.length;
  t.same(parse(await mirror.get('/v2/_catalog')).repositories, held);
  t.same(await all(mirror.get, '/v2/_catalog?n=1', 'repositories'), held);
  t.same(await all(mirror.get, '/v2/_catalog?n=2', 'repositories'), held);
  t.equal(registry.asked.length, asked, 'upstream is not asked');
  for (const name of held)
    t.equal(
      (await mirror.manifest(`/v2/${name}/manifests/latest`)).status,
      200,
      'each can be pulled as listed',
    );
});

t.test('referrers, and HEAD', async (t) => {
  const { mirror } = await start(t);
  const referrers = await mirror.get(`/v2/team/app/referrers/${image.manifest.digest}`);
  t.same(parse(referrers), { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
  t.equal(referrers.headers['content-type'], OCI_INDEX);
  const head = await mirror.head('/v2/team/app/tags/list');
  t.equal(head.status, 200);
  t.equal(head.body.length, 0);
  t.equal((await mirror.get('/v2/team/unknown/tags/list')).status, 404);
});
