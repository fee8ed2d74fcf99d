import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { manifests, only, silent } from '../helpers/personas.ts';
import { exchangeRaw } from '../helpers/raw.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const latest = '/v2/team/app/manifests/latest';

t.test(
  'more requests at once than a registry client ever sends end the connection, not the daemon',
  async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', imageOf('app', [100]), 'latest');
    const gate = makeGate();
    t.teardown(gate.open);
    registry.act(only(manifests, silent(gate.opened)));
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
    const sent = `GET ${latest} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const received = await exchangeRaw(mirror.url, sent.repeat(9));
    t.equal(received.length, 0, 'nothing is answered on it');
    await exchangeRaw(mirror.url, sent.repeat(100));
    t.equal((await mirror.get('/v2/')).status, 200);
    gate.open();
    t.equal((await mirror.manifest(latest)).status, 200);
  },
);

t.test('eight at once are answered in their order', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const one = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n';
  const sent = `${`${one}\r\n`.repeat(7)}${one}Connection: close\r\n\r\n`;
  const received = (await exchangeRaw(mirror.url, sent)).toString('latin1');
  t.equal(received.match(/HTTP\/1\.1 200 OK/g)?.length, 8);
});

t.test('an ns with letters beyond ASCII is one that is not mirrored', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  for (const ns of [
    '☃.example',
    'dörcker.io',
    'registry.test\r\nx: y',
    '\u{1f4a9}',
    '\u0000',
    'rеgistry.test',
  ]) {
    const path = `${latest}?ns=${encodeURIComponent(ns)}`;
    const answer = await mirror.get(path);
    t.equal(answer.status, 404, ns);
    t.equal(ociErrorOf(answer).code, 'NAME_UNKNOWN');
    t.equal((await mirror.head(path)).status, 404, `${ns}, HEAD`);
  }
  t.equal(registry.asked.length, 0, 'no upstream is asked');
  t.equal((await mirror.get('/v2/')).status, 200);
});
