import t from 'tap';
import { blobOf, type Content, KIB, MIB } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import {
  blobDownloads,
  breaking,
  chunked,
  corrupting,
  htmlWith200,
  only,
  stalling,
  times,
} from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const large = blobOf(4 * MIB, 'large');
const small = blobOf(20 * KIB, 'small');

async function start(t: Parameters<typeof startRegistry>[0]): Promise<[Registry, RunningMirror]> {
  const registry = await startRegistry(t);
  registry.push('team/app', large);
  registry.push('team/app', small);
  return [registry, await startMirror(t, { upstreams: { 'registry.test': { at: registry } } })];
}

const path = ({ digest }: Content): string => `/v2/team/app/blobs/${digest}`;

t.test('large corrupt content: no client gets a complete response, whenever it came', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(large.body.length - 1, gate.opened)), corrupting());
  const readers = await Promise.all(Array.from({ length: 4 }, () => mirror.open(path(large))));
  await Promise.all(readers.map((reader) => reader.receive(large.body.length - 64 * KIB)));
  gate.open();
  for (const { isComplete, body } of await Promise.all(readers.map(({ ended }) => ended))) {
    t.notOk(isComplete);
    t.ok(body.length < large.body.length);
  }
  await mirror.settled();
  t.equal(mirror.status().store.objects, 0, 'nothing is kept');
  t.equal(await mirror.metric('hubcap_fills_total', 'mismatch'), 1);

  registry.act();
  const healed = await mirror.get(path(large));
  t.ok(healed.isComplete && healed.body.equals(large.body), 'the next request gets the right content');
});

t.test('small corrupt content is asked for once more, and then right', async (t) => {
  const [registry, mirror] = await start(t);
  registry.act(times(1, corrupting()));
  const received = await mirror.get(path(small));
  t.ok(received.isComplete && received.body.equals(small.body));
  t.equal(registry.count('GET'), 2);
});

t.test('small content that stays corrupt is never served', async (t) => {
  const [registry, mirror] = await start(t);
  registry.act(corrupting());
  const received = await mirror.get(path(small));
  t.ok(!received.isComplete || received.status >= 500, 'broken off, or said to be wrong');
  t.equal(received.status >= 500 ? 0 : received.body.length, 0, 'not a byte of it');
  t.equal(registry.count('GET'), 2, 'asked twice, not for ever');
  t.equal(mirror.status().store.objects, 0);
});

t.test('a page of HTML with status 200 is no blob', async (t) => {
  const [registry, mirror] = await start(t);
  registry.act(htmlWith200());
  for (const blob of [small, large]) {
    const { isComplete, status, body } = await mirror.get(path(blob));
    t.ok(!isComplete || status >= 500);
    t.notMatch(body.toString(), /log in/, 'it is not shown');
    t.not(status, 404);
  }
});

t.test('content that is shorter or longer than announced, or of unknown length', async (t) => {
  const [registry, mirror] = await start(t);
  registry.act(only(blobDownloads, breaking(4 * KIB)), async (_asked, answer) => {
    const plain = await answer();
    return { ...plain, status: 200, headers: {}, body: small.body };
  });
  const cut = await mirror.get(path(small));
  t.notOk(cut.isComplete && cut.status === 200, 'cut short every time');

  registry.act(chunked(), corrupting());
  const unknownLength = await mirror.get(path(large));
  t.notOk(unknownLength.isComplete && unknownLength.status === 200, 'corrupt, of unknown length');
  await mirror.settled(); // it is asked for once more: who joins that gets the same

  registry.act(chunked());
  const right = await mirror.get(path(large));
  t.ok(right.isComplete && right.body.equals(large.body), 'right, of unknown length');
});

t.test('the rest of a running fill, asked for as a range, is as proven as the whole', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(2 * MIB, gate.opened)), corrupting(100));
  const part = await mirror.open(path(large), { headers: { range: 'bytes=1024-' } });
  gate.open();
  t.notOk((await part.ended).isComplete, 'Docker resumes like this');
});
