import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { ANY_MANIFEST } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Asked, Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200, manifests, only } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const [old, young] = [imageOf('old', [100]), imageOf('young', [100])];
const latest = '/v2/team/app/manifests/latest';
const manifestBodies = (asked: Asked): boolean => asked.method === 'GET' && manifests(asked);

for (const status of [429, 503]) {
  t.test(`a tag that HEAD saw move is served as it was while its manifest is ${status}`, async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', old, 'latest');
    const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0, retries: 0 } };
    const mirror = await startMirror(t, { upstreams });
    t.ok((await mirror.manifest(latest)).body.equals(old.manifest.body));
    registry.push('team/app', young, 'latest');
    const head = await mirror.head(latest, { headers: ANY_MANIFEST });
    t.equal(head.headers['docker-content-digest'], young.manifest.digest);
    t.equal(registry.count('GET', '/manifests/'), 1, 'nothing was fetched for it');
    registry.act(only(manifestBodies, failing(status, { 'retry-after': '0' })));
    const stale = await mirror.manifest(latest);
    t.equal(stale.status, 200);
    t.equal(stale.headers['docker-content-digest'], old.manifest.digest);
    t.ok(stale.body.equals(old.manifest.body));
    t.match(stale.headers['cache-status'], /fwd=stale/);
    t.ok(mirror.logs.some((line) => line.includes('"outcome":"stale"')));
  });
}

/** Answers HEAD for the tag with a digest that nothing has. */
const falseDigest: Persona = async (_asked, answer) => {
  const plain = await answer();
  return { ...plain, headers: { ...plain.headers, 'docker-content-digest': digestOf('nothing') } };
};
const headOfTag = ({ method, path }: Asked): boolean => method === 'HEAD' && path === latest;

t.test('a false digest at HEAD does not make a known tag unknown', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', old, 'latest');
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0, notFoundTtlMs: 60_000 } };
  const mirror = await startMirror(t, { upstreams });
  t.equal((await mirror.manifest(latest)).status, 200);
  registry.act(only(headOfTag, falseDigest));
  for (const expected of [old, young]) {
    registry.push('team/app', expected, 'latest');
    for (let n = 0; n < 3; n++) {
      const { status, body } = await mirror.manifest(latest);
      t.equal(status, 200);
      t.ok(body.equals(expected.manifest.body), 'the bytes decide');
    }
  }
});

t.test('a page of HTML is no list of tags', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', old, 'latest');
  registry.act(only(({ path }) => path.endsWith('/tags/list'), htmlWith200()));
  const upstreams = { 'registry.test': { at: registry, retries: 0, tagTtlMs: 60_000 } };
  const mirror = await startMirror(t, { upstreams });
  const answer = await mirror.get('/v2/team/app/tags/list');
  t.equal(answer.status, 502);
  t.match(answer.headers['content-type'], 'application/json');
  t.notMatch(answer.body.toString(), /<html/);
  registry.act();
  const next = await mirror.get('/v2/team/app/tags/list');
  t.match(JSON.parse(next.body.toString()), { tags: ['latest'] }, 'it was not kept');
});
