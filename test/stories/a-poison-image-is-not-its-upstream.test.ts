import t from 'tap';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing, only, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [1000]);
const POISON = ['bad/a', 'bad/b', 'bad/c'];
const latest = (repository: string) => `/v2/${repository}/manifests/latest`;

/** Three repositories of a registry that is well cannot be had; a tag is never fresh. */
async function start(t: Parameters<typeof startRegistry>[0], timeouts: Record<string, number> = {}) {
  const registry = await startRegistry(t);
  for (const repository of [...POISON, 'team/app', 'team/new']) registry.push(repository, image, 'latest');
  const at = { at: registry, tagTtlMs: 0, retries: 0, timeouts: { probeMs: 100, ...timeouts } };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  return { registry, mirror };
}

t.test('images that upstream always fails at do not stand for the others', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(only(({ path }) => path.includes('/bad/'), failing(500)));
  t.equal((await mirror.manifest(latest('team/app'))).status, 200);
  for (const repository of POISON) t.equal((await mirror.manifest(latest(repository))).status, 502);
  t.equal((await mirror.manifest(latest('team/new'))).status, 200, 'what nobody has asked for');
  t.match((await mirror.manifest(latest('team/app'))).headers, { 'cache-status': /revalidated/ });
});

t.test('also where nothing but them was asked for before', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(only(({ path }) => path.includes('/bad/'), failing(500)));
  for (const repository of POISON) t.equal((await mirror.manifest(latest(repository))).status, 502);
  await until(
    'another image comes',
    async () => (await mirror.manifest(latest('team/new'))).status === 200,
    20,
  );
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
});

t.test('images that take all connections do not make upstream slow or down', async (t) => {
  const gate = makeGate();
  t.teardown(gate.open);
  const { registry, mirror } = await start(t, { confirmMs: 300, headersMs: 1000 });
  for (const repository of [...POISON, 'team/app']) await mirror.manifest(latest(repository));
  registry.act(only(({ path }) => path.includes('/bad/'), silent(gate.opened)));
  const tags = Array.from({ length: 40 }, (_, n) => `/v2/bad/a/manifests/unknown-${n}`);
  const held = tags.map((path) => mirror.manifest(path));
  await until('they are asked for', () => registry.answering >= 32);
  for (const repository of POISON) await mirror.manifest(latest(repository));
  await until(
    'it was found to be there',
    () => mirror.status().upstreams[0]?.endpoints[0]?.state === 'up',
    20,
  );
  await Promise.all(held);
  t.equal((await mirror.manifest(latest('team/new'))).status, 200);
});
