import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { assertDiskIsTrue, leftoversOf } from '../helpers/disk-truth.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, corrupting, inTurn, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const { body } = blobOf(4 * MIB, 'wrong, then right');
const size = body.length;

for (const algorithm of ['sha256', 'sha512'] as const) {
  const blob = { body, digest: digestOf(body, algorithm) };
  const path = `/v2/team/app/blobs/${blob.digest}`;

  const start = async (t: Parameters<typeof startRegistry>[0]) => {
    const registry = await startRegistry(t);
    registry.push('team/app', blob);
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
    const [first, second] = [makeGate(), makeGate()];
    t.teardown(first.open);
    t.teardown(second.open);
    return { registry, mirror, first, second };
  };

  /** All but the last byte, of which one was wrong before. */
  const almostAll = (gate: Promise<void>): Persona => stalling(size - 1, gate);

  t.test(`${algorithm}: who has seen none of it does not notice`, async (t) => {
    const { registry, mirror, first, second } = await start(t);
    registry.act(
      only(blobDownloads, inTurn([almostAll(first.opened)], stalling(MIB, second.opened))),
      only(blobDownloads, inTurn([corrupting()])),
    );
    const whole = await mirror.open(path);
    await whole.receive(size - 64 * KIB);
    const end = await mirror.open(path, { headers: { range: `bytes=${size - 1000}-` } });
    t.equal(end.bytes, 0, 'the last bytes are not shown before they are proven');
    first.open();
    t.notOk((await whole.ended).isComplete, 'who has seen wrong bytes is told by a broken connection');
    await until('upstream is asked again', () => registry.count('GET') === 2);
    const late = await mirror.open(path);
    second.open();
    const [tail, all] = await Promise.all([end.ended, late.ended]);
    t.ok(tail.isComplete && tail.body.equals(body.subarray(size - 1000)), 'the right end');
    t.ok(all.isComplete && all.body.equals(body), 'who came meanwhile gets the second attempt');
    await mirror.settled();
    t.equal(registry.count('GET'), 2);
    const [before, after] = registry.asked.map(({ connection }) => connection);
    t.not(before, after, 'over another connection');
    t.equal((await assertDiskIsTrue(mirror.directory)).blobs.get(blob.digest), size);
    t.equal(await mirror.metric('hubcap_fill_discards_total'), 1, 'it is counted');
    t.equal(await mirror.metric('hubcap_fills_total', 'result="stored"'), 1);
    t.equal(await mirror.metric('hubcap_fills_total', 'result="mismatch"'), 0);
  });

  t.test(`${algorithm}: content that stays wrong is reported, and nothing of it is kept`, async (t) => {
    const { registry, mirror, first } = await start(t);
    registry.act(only(blobDownloads, almostAll(first.opened)), corrupting());
    const reader = await mirror.open(path);
    await reader.receive(size - 64 * KIB); // its end is not far ahead any more
    const end = await mirror.open(path, { headers: { range: `bytes=${size - 1000}-` } });
    first.open();
    t.notOk((await reader.ended).isComplete);
    t.notOk((await end.ended).isComplete, 'also who waited for the second attempt');
    await mirror.settled();
    t.equal(registry.count('GET'), 2, 'twice, not for ever');
    const truth = await assertDiskIsTrue(mirror.directory);
    t.equal(truth.blobs.size + truth.partials.size + leftoversOf(truth).length, 0);
    t.equal(await mirror.metric('hubcap_fills_total', 'result="mismatch"'), 1);
    t.ok(
      mirror.logs.some((line) => line.includes('"level":50') && line.includes(blob.digest)),
      'an error that names it',
    );
  });
}
