import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { blobOf, KIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, corrupting, htmlWith200, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(64 * KIB, 'small');
const path = `/v2/team/app/blobs/${blob.digest}`;

async function start(t: Parameters<typeof startRegistry>[0], maxBytes?: number) {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const settings = { upstreams: { 'registry.test': { at: registry } } };
  const mirror = await startMirror(t, maxBytes === undefined ? settings : { ...settings, maxBytes });
  return { registry, mirror };
}

for (const [what, maxBytes] of [
  ['stored', undefined],
  ['larger than the budget', 32 * KIB],
] as const) {
  t.test(`small wrong content is an error with a status, and right on the next pull: ${what}`, async (t) => {
    const { registry, mirror } = await start(t, maxBytes);
    for (const [wrong, message] of [
      [corrupting(), /other content under this digest/],
      [htmlWith200(), /HTML page in place of a blob/],
    ] as const) {
      registry.act(wrong);
      for (const headers of [{}, { range: 'bytes=10-19' }] as Record<string, string>[]) {
        const received = await mirror.get(path, { headers });
        t.ok(received.isComplete, 'not a broken response');
        t.equal(received.status, 502);
        t.match(received.headers, { 'content-type': /json/, 'retry-after': /^\d+$/ });
        t.match(ociErrorOf(received), { code: /^[A-Z]+$/, message });
        await mirror.settled();
      }
    }
    t.equal(registry.count('GET'), 8, 'each time it was asked for twice');
    t.equal(mirror.status().store.objects, 0);

    registry.act();
    const healed = await mirror.get(path);
    t.equal(healed.status, 200);
    t.ok(healed.isComplete && healed.body.equals(blob.body));
  });
}

t.test('all who wait for it are told', async (t) => {
  const { registry, mirror } = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(1, gate.opened)), corrupting());
  const asking = Array.from({ length: 8 }, () => mirror.get(path));
  await mirror.reached();
  gate.open();
  for (const received of await Promise.all(asking)) {
    t.equal(received.status, 502);
    t.match(ociErrorOf(received), { message: /other content/ });
  }
});
