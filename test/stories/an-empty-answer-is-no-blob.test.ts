import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, breaking, only } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const blob = blobOf(4 * MIB, 'not empty');
const path = `/v2/team/app/blobs/${blob.digest}`;
const empty: Persona = () => ({
  status: 200,
  headers: { 'docker-content-digest': blob.digest },
  body: Buffer.alloc(0),
});
const emptyChunked: Persona = () => ({ status: 200, body: Buffer.alloc(0), isChunked: true });

for (const [name, persona] of [
  ['of length 0', empty],
  ['of no said length', emptyChunked],
] as const) {
  t.test(`an empty 200 ${name} never reaches a client as a whole blob`, async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', blob);
    registry.act(only(blobDownloads, persona));
    const upstreams = { 'registry.test': { at: registry, retries: 0 } };
    const mirror = await startMirror(t, { upstreams });
    for (const headers of [{}, { range: 'bytes=0-9' }]) {
      const answer = await mirror.get(path, { headers }).catch(() => undefined);
      t.notOk(answer && answer.status < 300 && answer.isComplete, 'no complete success');
    }
    await mirror.settled();
    t.equal(mirror.status().store.objects, 0, 'nothing is stored');
    registry.act();
    const good = await mirror.get(path);
    t.ok(good.isComplete && good.body.equals(blob.body), 'and the next who asks gets it');
  });
}

t.test('the same where the content is streamed past the store', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  registry.act(only(blobDownloads, empty));
  const upstreams = { 'registry.test': { at: registry, retries: 0 } };
  const mirror = await startMirror(t, { upstreams, maxBytes: MIB });
  const answer = await mirror.get(path).catch(() => undefined);
  t.notOk(answer && answer.status === 200 && answer.isComplete, 'no complete success');
});

/** How upstreams refuse to go on from the middle. */
const refusals: [name: string, persona: Persona][] = [
  ['416 that names no size', () => ({ status: 416 })],
  [
    'bytes from another offset',
    () => ({
      status: 206,
      headers: { 'content-range': `bytes 0-${blob.body.length - 1}/${blob.body.length}` },
      body: blob.body,
    }),
  ],
  ['416 that names a smaller size', () => ({ status: 416, headers: { 'content-range': 'bytes */100' } })],
];

for (const [name, persona] of refusals) {
  t.test(`a partial file that upstream does not continue is fetched from the start: ${name}`, async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', blob);
    registry.act(only(blobDownloads, breaking(2 * MIB)));
    const upstreams = { 'registry.test': { at: registry, retries: 0 } };
    const directory = await makeDirectory(t);
    const mirror = await startMirror(t, { upstreams, directory });
    t.notOk((await mirror.get(path)).isComplete);
    await mirror.settled();
    registry.act(only(({ headers }) => headers.range !== undefined, persona));
    const received = await mirror.get(path);
    t.equal(received.status, 200);
    t.ok(received.isComplete && received.body.equals(blob.body));
    t.same(
      registry.asked.map(({ headers }) => headers.range),
      [undefined, `bytes=${2 * MIB}-`, undefined],
      'the rest is asked for first',
    );
    await mirror.settled();
    t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit');
  });
}
